"""Scenes of the store: `ckpt list`, `ckpt remove`, `ckpt gc`."""
import json
import os
import subprocess

from harness import CKPT, Failure

# In a store that nobody else has: a mount over the place where root's is.
SCRIPT = """
set -e
mkdir -p /var/lib/ckpt
mount -t tmpfs none /var/lib/ckpt
sleep 1000 & a=$!
sleep 1000 & b=$!
trap 'kill $a $b' EXIT
for i in 1 2 3; do "$CKPT" dump -t $a -R --json; done
"$CKPT" dump -t $b -R --json
mkdir /var/lib/ckpt/17 /var/lib/ckpt/other
%s
"""


def play(s, *commands):
    """The results of the four dumps, and of the commands; each is (exit status, JSON)."""
    steps = "\n".join(f'"$CKPT" {c} --json || true' for c in commands)
    done = subprocess.run(["unshare", "-m", "sh", "-c", SCRIPT % steps], cwd=s.dir, stdout=subprocess.PIPE, check=True,
                          env=dict(os.environ, CKPT=CKPT), text=True)
    decoder, at, values = json.JSONDecoder(), 0, []
    while at < len(done.stdout.rstrip()):
        value, at = decoder.raw_decode(done.stdout, at)
        at += 1
        values.append(value)
    return values[:4], values[4:]


def crids(listed):
    return [e["crid"] for e in listed["items"] if not e["damaged"]]


def expect(got, want, what):
    if got != want:
        raise Failure(f"{what}: expected {want!r}, got {got!r}")


def scene_store_list(s):
    """What was dumped without a directory is listed, oldest first; what is no image is told apart."""
    dumps, (listed,) = play(s, "list")
    expect(crids(listed), [d["crid"] for d in dumps], "the crids")
    expect([e["crid"] for e in listed["items"] if e["damaged"]], ["17"], "the damaged one")
    expect([e["pid"] for e in listed["items"][1:]], [d["pid"] for d in dumps], "the pids")
    expect({e["program"] for e in listed["items"][1:]}, {"sleep"}, "the programs")
    own = {e["crid"]: e["bytes"] for e in listed["items"]}
    for d in dumps:
        if not 0 < own[d["crid"]] <= d["bytes"]:
            raise Failure(f"{own[d['crid']]} bytes, of a dump of {d['bytes']}")
    expect(listed["total_bytes"], sum(own.values()), "the sum")


def scene_store_remove(s):
    """One that is removed is gone; one that is not there is an error."""
    dumps, (missing, empty, listed) = play(s, "remove 18", "remove 17", "list")
    for no in missing, empty:
        expect(no["error"]["kind"], "image", "the kind of the error")
    expect(len(listed["items"]), len(dumps) + 1, "what is listed")
    expect(len(crids(listed)), len(dumps), "checkpoints")
    dumps, (gone, listed, again) = play(
        s, "list >/dev/null; C=$(ls /var/lib/ckpt | sort -n | sed -n 3p); \"$CKPT\" remove $C", "list", "remove $C")
    expect(gone, {}, "the result of remove")
    expect(crids(listed), [d["crid"] for d in dumps[1:]], "the crids afterwards")
    expect(again["error"]["kind"], "image", "the kind of the error of a second remove")


def scene_store_gc(s):
    """The newest of each program stay; then the oldest go until the rest is small enough."""
    dumps, (first, kept, second, left) = play(s, "gc --keep 2", "list", "gc --quota 1K", "list")
    expect((first["removed"], first["left"]), (1, 4), "gc --keep 2")
    expect(crids(kept), [d["crid"] for d in dumps[1:]], "what --keep 2 keeps")
    expect((second["removed"], crids(left)), (3, []), "gc --quota")
    expect([e["crid"] for e in left["items"]], ["17"], "what is damaged stays")


def scene_store_quota(s):
    """The quota that stands in the store holds for each dump into it; what a job goes on from stays."""
    silent = "list >/dev/null; "
    dump = '"$CKPT" dump -t $a -R'
    dumps, (new, kept, large, same, wrong, collected, left, removed) = play(
        s, silent + "mkdir /var/lib/ckpt/jobs; ls /var/lib/ckpt | sort -n | sed -n 5p >/var/lib/ckpt/jobs/j; "
        "echo 400K >/var/lib/ckpt/quota; " + dump, "list", silent + "echo 1K >/var/lib/ckpt/quota; " + dump, "list",
        silent + "echo much >/var/lib/ckpt/quota; " + dump, silent + 'echo 300K >/var/lib/ckpt/quota; "$CKPT" gc', "list",
        "remove $(cat /var/lib/ckpt/jobs/j)")
    of_job = [e["crid"] for e in kept["items"] if e["of_job"]]
    expect(len(of_job), 1, "of a job")
    own = {e["crid"]: e["bytes"] for e in kept["items"]}
    if not 100 << 10 < own[new["crid"]] <= 133 << 10:
        raise Failure(f"a checkpoint of {own[new['crid']]} bytes, where three and no four were to fit into 400K")
    expect(set(crids(kept)), {of_job[0], dumps[-1]["crid"], new["crid"]} if of_job[0] != dumps[-1]["crid"]
           else {dumps[-2]["crid"], dumps[-1]["crid"], new["crid"]}, "what a quota of 400K leaves")
    expect((large["error"]["kind"], large["error"]["target_state"]), ("space", "none"), "the error of what can't fit")
    s.words(large["error"]["text"], "quota of the store")
    expect(crids(same), crids(kept), "what is there afterwards")
    expect(wrong["error"]["kind"], "usage", "the error of a quota that is none")
    s.words(wrong["error"]["text"], "/var/lib/ckpt/quota: 'much' is none")
    expect((collected["removed"], len(crids(left))), (1, 2), "gc by the quota of the store")
    if of_job[0] not in crids(left):
        raise Failure("what a job goes on from was removed")
    expect(removed, {}, "the result of its removal by hand")


def scene_store_names(s):
    """A checkpoint is named by its crid wherever an image is."""
    name = '$(ls /var/lib/ckpt | sort -n | sed -n %dp)'
    _, (shown, verified, differ, same) = play(
        s, "show " + name % 3, "verify " + name % 3, f"diff {name % 3} {name % 3}", f"diff --crid-a {name % 3} --crid-b {name % 3}")
    expect((str(shown["manifest"]["crid"]), shown["manifest"]["program"]), (verified["crid"], "sleep"), "what is shown and verified")
    expect((differ["differences"], same["differences"]), ([], []), "the differences")
