#!/usr/bin/env bash
# Runs one command on Debian's own kernel, in an emulated machine that sees this one's files
#
#   contrib/vm.sh [-a ISA] [-k VERSION] [-o] [-m SIZE] COMMAND...
#   contrib/vm.sh -a aarch64 -p
#
#   -a ISA       x86_64 (default) or aarch64
#   -k VERSION   a Debian kernel package's name or its part: 6.1 (default: linux-image-amd64's), 6.12
#   -o           / is an overlay (writable), where a file's st_dev differs from the one in /proc/PID/maps
#   -m SIZE      memory (default 2G)
#   -p           only prepare the files of that machine; prints where its / is
#
# The kernel is downloaded and unpacked, not installed. / of the guest is / of the host, read-only over
# 9p; /run, /dev/shm and $TMPDIR are writable and forgotten. The command runs as root with every
# capability, in the directory of the caller; its exit status becomes ours. No KVM: 5 to 8 times slower.
# An aarch64 guest has a / of its own, of Debian's packages, unpacked; this tree is seen in it at the same
# path. It is also the SYSROOT for a build of ckpt for aarch64 (docs/HACKING.md).
# Environment: VM_DIR (kernels and initramfs; default: build/vm), VM_TIMEOUT_S (default 600), VM_CPU (aarch64:
# a CPU of qemu's; default max, with 128-bit SVE).
# Needs: qemu-system-x86 or qemu-system-arm, busybox-static cpio kmod
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${VM_DIR:-$top/build/vm}
isa=x86_64 kernel=6.1 overlay=0 memory=2G prepare=0
PATH=$PATH:/usr/sbin:/sbin

die() { printf 'vm: %s\n' "$*" >&2; exit 2; }

# What the / of an aarch64 guest is made of: what the tests need, and what the build links with.
arm64_packages='base-files bash busybox-static coreutils dash findutils grep kmod libc6-dev libcap-dev
libjansson-dev liblz4-dev libmd-dev libnl-3-dev libnl-route-3-dev libprotobuf-c-dev libxxhash-dev libzstd-dev
mount procps python3 sed util-linux'

# apt for another architecture, with a state of its own: nothing of this system changes.
apt_arm64() {
	local state=$dir/apt-arm64
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	touch "$state/status"
	[ -e "$state/sources.list" ] || printf 'deb [signed-by=%s] http://deb.debian.org/debian bookworm %s\n' \
		/usr/share/keyrings/debian-archive-keyring.gpg main >"$state/sources.list"
	cat >"$state/apt.conf" <<-CONF
		APT::Architecture "arm64"; APT::Architectures "arm64"; APT::Install-Recommends "false";
		APT::Sandbox::User "root"; Acquire::Languages "none";
		Dir::State "$state"; Dir::State::status "$state/status"; Dir::State::Lists "$state/lists";
		Dir::Cache "$state"; Dir::Cache::archives "$state/archives";
		Dir::Etc::SourceList "$state/sources.list"; Dir::Etc::SourceParts "/dev/null";
	CONF
	export APT_CONFIG=$state/apt.conf
	[ -e "$state/updated" ] || { apt-get -qq update >&2 && touch "$state/updated"; }
}

# The / of an aarch64 guest: once for a list of packages. Its directories are where this tree and its machine are seen.
arm64_root() {
	local root=$dir/root-aarch64 package
	mkdir -p "$root"/{run,dev,proc,sys,tmp,root,hostfs} "$root$top" "$root$dir"
	[ "$(cat "$root/done" 2>/dev/null)" = "$arm64_packages" ] && return
	# shellcheck disable=SC2086 # a list of words
	apt-get -qq -y --download-only install $arm64_packages >&2
	for package in "$dir"/apt-arm64/archives/*.deb; do
		dpkg -x "$package" "$root"
	done
	ln -sf dash "$root/bin/sh"
	printf '%s\n' "$arm64_packages" >"$root/done"
}

# The package of a kernel version: its newest build that is not the cloud's or the real-time one.
package_of() {
	local name
	name=$(apt-cache search --names-only "^linux-image-${1//./\\.}([.+-].*)?-$deb_isa\$" |
		cut -d' ' -f1 | grep -v -e -cloud- -e -rt- | grep -v unsigned | sort -V | tail -n 1)
	[ -n "$name" ] || die "no package linux-image-$1* is known to apt (apt-get update?)"
	printf '%s\n' "$name"
}

# unpack PACKAGE: once
unpack() {
	local into=$dir/$1
	[ -e "$into/done" ] && return
	rm -rf "$into"
	mkdir -p "$into"
	(cd "$into" && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2 && dpkg -x ./*.deb . && rm ./*.deb)
	depmod -b "$into" "$(ls "$into/lib/modules")"
	touch "$into/done"
}

# initramfs PACKAGE OUT: busybox, and the modules that it takes to reach the host's files; those that tell
# of sockets too, and those that nobody asks for by a name that the kernel knows
initramfs() {
	local from=$dir/$1 root version module
	version=$(ls "$from/lib/modules")
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,proc,sys,dev,modules,host,upper,new}
	cp "$busybox" "$root/bin/busybox"
	for module in virtio_pci 9pnet_virtio 9p overlay \
		unix_diag tcp_diag udp_diag raw_diag netlink_diag af_packet_diag nf_tables veth sch_netem tun; do
		modprobe -d "$from" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$root/list"
	while read -r module; do
		case $module in
		*.xz) xz -dc "$module" >"$root/modules/$(basename "$module" .xz)" ;;
		*) cp "$module" "$root/modules/" ;;
		esac
		basename "$module" .xz
	done <"$root/list" >"$root/modules/order"
	init "$version" >"$root/init"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$2"
	rm -rf "$root"
}

# init VERSION: the guest's first program, which makes / and runs the script in it
init() {
	cat <<-INIT
		#!/bin/busybox sh
		/bin/busybox --install /bin
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs dev /dev
		for m in \$(cat /modules/order); do insmod /modules/\$m; done
		mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host
		if grep -q vm.overlay=1 /proc/cmdline; then
			mount -t tmpfs tmpfs /upper
			mkdir /upper/u /upper/w
			mount -t overlay -o lowerdir=/host,upperdir=/upper/u,workdir=/upper/w root /new
		else
			mount --move /host /new
		fi
		if [ -d /new/hostfs ]; then
			mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 tree /new/hostfs
			for d in $top $dir; do mount --bind /new/hostfs/\$d /new/\$d; done
		fi
		for m in proc sys dev; do mount --move /\$m /new/\$m; done
		mount -t tmpfs tmpfs /new/run
		mkdir -p /new/run/tmp /new/run/modules /new/dev/pts /new/dev/shm
		mount -t devpts devpts /new/dev/pts
		mount -t tmpfs tmpfs /new/dev/shm
		mount -t cgroup2 cgroup /new/sys/fs/cgroup
		ip link set lo up
		exec switch_root /new /bin/bash "\$(sed 's/.*vm.script=\\([^ ]*\\).*/\\1/' /new/proc/cmdline)"
	INIT
}

# script PACKAGE COMMAND...: what runs in the guest; the last line tells the exit status
script() {
	local from=$dir/$1
	shift
	cat <<-SCRIPT
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/run/tmp HOME=/root
		exec </dev/null >/dev/$tty 2>&1
		stty -onlcr </dev/$tty
		export MODPROBE_OPTIONS="-d $from" # / may have no /lib/modules
		printf '#!/bin/sh\nexec modprobe -d $from "\$@"\n' >/run/modprobe
		chmod +x /run/modprobe
		echo /run/modprobe >/proc/sys/kernel/modprobe
		(cd ${PWD@Q} && setsid ${*@Q})
		echo "vm: exit status \$?"
		sync
		echo o >/proc/sysrq-trigger
		while :; do :; done # the power goes
	SCRIPT
}

while getopts a:k:om:ph opt; do
	case $opt in
	a) isa=$OPTARG ;;
	k) kernel=$OPTARG ;;
	o) overlay=1 ;;
	m) memory=$OPTARG ;;
	p) prepare=1 ;;
	*) sed -n '2,21s/^# \{0,1\}//p' "$0"; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || [ $prepare = 1 ] || die 'no command'
for tool in "qemu-system-$isa" busybox cpio modprobe depmod; do
	command -v "$tool" >/dev/null || die "$tool is missing: see 'Needs' in this script"
done

mkdir -p "$dir"
root=/ busybox=$(command -v busybox)
case $isa in
x86_64)
	deb_isa=amd64 tty=ttyS0
	machine=(-accel 'tcg,thread=multi' -cpu max -smp 2)
	append='tsc=reliable mitigations=off'
	;;
aarch64)
	deb_isa=arm64 tty=ttyAMA0
	apt_arm64
	arm64_root
	root=$dir/root-aarch64 busybox=$dir/root-aarch64/bin/busybox
	machine=(-accel tcg -M 'virt,gic-version=3' -cpu "${VM_CPU:-max,pauth-impdef=on,sve128=on}" -smp 1
		-fsdev 'local,id=tree,path=/,security_model=none,readonly=on,multidevs=remap'
		-device 'virtio-9p-pci,fsdev=tree,mount_tag=tree')
	append='mitigations=off'
	;;
*) die "ISA $isa is not known: x86_64 or aarch64" ;;
esac
if [ $prepare = 1 ]; then
	printf '%s\n' "$root"
	exit 0
fi
package=$(package_of "$kernel")
unpack "$package"
work=$(mktemp -d "$dir/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
initramfs "$package" "$work/initramfs"
script "$package" "$@" >"$work/script"
timeout "${VM_TIMEOUT_S:-600}" "qemu-system-$isa" "${machine[@]}" -m "$memory" \
	-display none -no-reboot -nodefaults -serial stdio \
	-kernel "$dir/$package"/boot/vmlinuz-* -initrd "$work/initramfs" \
	-fsdev "local,id=host,path=$root,security_model=none,readonly=on,multidevs=remap" \
	-device virtio-9p-pci,fsdev=host,mount_tag=host \
	-append "console=$tty quiet panic=-1 $append vm.overlay=$overlay vm.script=$work/script" \
	</dev/null | tee "$work/out" | sed -u '/^vm: exit status [0-9]*$/d'
status=$(sed -n 's/^vm: exit status \([0-9]*\)$/\1/p' "$work/out" | tail -n 1)
[ -n "$status" ] || die 'the machine ended without an exit status (time-out?)'
exit "$status"
