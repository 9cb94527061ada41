#!/usr/bin/env bash
# Installs what ckpt needs to build (and with --test, to be tested) on Debian 12.
#
#   contrib/install-deps.sh [--test] [--list]
#
# Looks first and installs only what is missing: a machine that has everything needs neither
# network nor root. --list prints what is missing and changes nothing.
set -euo pipefail

# package, and how it shows that it is there: a command in PATH, pc:NAME for pkg-config, - for dpkg.
build_deps='
gcc                   gcc
libc6-dev             -
make                  make
pkg-config            pkg-config
python3               python3
libcap-dev            pc:libcap
libprotobuf-c-dev     pc:libprotobuf-c
protobuf-c-compiler   protoc-c
libnl-3-dev           pc:libnl-3.0
libnl-route-3-dev     pc:libnl-route-3.0
libjansson-dev        pc:jansson
libxxhash-dev         pc:libxxhash
liblz4-dev            pc:liblz4
libzstd-dev           pc:libzstd
libmd-dev             pc:libmd
libcriterion-dev      pc:criterion
'

# Without these a test is skipped, and says so.
test_deps='
procps                ps
sqlite3               sqlite3
ffmpeg                ffmpeg
perl                  perl
ruby                  ruby
nodejs                node
default-jdk-headless  javac
rustc                 rustc
musl-tools            musl-gcc
gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
libc6-dev-arm64-cross -
clang                 clang
clang-format          clang-format
cppcheck              cppcheck
shellcheck            shellcheck
strace                strace
vim                   vim
less                  less
tmux                  tmux
gdb                   gdb
redis-server          redis-server
nginx-light           nginx
memcached             memcached
mosquitto             mosquitto
haproxy               haproxy
gunicorn              gunicorn
openssh-server        sshd
openssh-client        ssh
postgresql-15         -
tcpdump               tcpdump
'

say() { printf 'install-deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Children of make may have no cargo in PATH, which root's shell has.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:$HOME/.cargo/bin

in_dpkg() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

is_there() {
	case $2 in
	-) in_dpkg "$1" ;;
	pc:*) in_dpkg "$1" || pkg-config --exists "${2#pc:}" 2>/dev/null ;;
	*) command -v "$2" >/dev/null ;;
	esac
}

missing_of() {
	local package check
	while read -r package check; do
		if [ -n "$package" ] && ! is_there "$package" "$check"; then
			printf '%s ' "$package"
		fi
	done <<<"$1"
}

with_test=0 only_list=0
for arg; do
	case $arg in
	--test) with_test=1 ;;
	--list) only_list=1 ;;
	-h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) die "unknown argument: $arg (there are --test and --list)" ;;
	esac
done

need=$(missing_of "$build_deps") extra=
if [ $with_test = 1 ]; then
	extra=$(missing_of "$test_deps")
fi
if [ $only_list = 1 ]; then
	printf '%s%s\n' "$need" "$extra"
	exit 0
fi
if [ -z "$need$extra" ]; then
	exit 0
fi

can_install=
if ! command -v apt-get >/dev/null; then
	can_install='there is no apt-get here (this script knows Debian only)'
elif [ "$(id -u)" != 0 ]; then
	can_install="not root: run 'sudo apt-get install $need$extra'"
fi
if [ -n "$can_install" ]; then
	if [ -n "$need" ]; then
		die "missing: $need$extra- $can_install"
	fi
	say "missing for some tests, which will be skipped: $extra- $can_install"
	exit 0
fi

# The tests start servers of their own; those of the packages shall neither run now nor after a boot.
units() {
	local package
	for package in $extra; do
		case $package in
		redis-server | memcached | mosquitto | haproxy) echo "$package" ;;
		nginx-light) echo nginx ;;
		openssh-server) echo ssh ;;
		postgresql-*) echo postgresql ;;
		esac
	done
}
policy=/usr/sbin/policy-rc.d
if [ -n "$(units)" ] && [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

# A slim image has no manual pages, and the Java package stumbles over that.
mkdir -p /usr/share/man/man1
export DEBIAN_FRONTEND=noninteractive
say "installing: $need$extra"
# shellcheck disable=SC2086 # lists of words
{
	apt-get update -q >&2 || say 'apt-get update failed; trying with the package lists that are here'
	apt-get install -y -q --no-install-recommends $need $extra >&2 || die 'apt-get install failed'
}
for unit in $(units); do
	systemctl disable "$unit" >/dev/null 2>&1 || true # there may be no systemd
done
left=$(missing_of "$build_deps")
if [ -n "$left" ]; then
	die "still missing after the installation: $left"
fi
