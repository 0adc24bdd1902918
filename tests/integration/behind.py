# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What somebody may do through directory MOUNT to what has changed in BACKING since he looked. Prints
# a line a case, with what then is in TRUTH, the same directory once more. With one path for the three,
# that is what the filesystem itself does. Each case has a directory of its own, of which nobody
# remembers anything yet.
import ctypes
import errno
import os
import stat
import sys

MOUNT, BACKING, TRUTH = sys.argv[1:4]
USER, OTHER, GROUP = 61001, 61002, 61500
libc = ctypes.CDLL(None, use_errno=True)
CAP = bytes.fromhex("0100000200040000000000000000000000000000")


def rename_exchange(a, b):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), 2):
        raise OSError(ctypes.get_errno(), a)


class Caps:
    """The effective capabilities NUMBERS, kept over the change of uid."""

    def __init__(self, *numbers):
        self.mask = sum(1 << n for n in numbers)

    def keep(self):
        libc.prctl(8, 1, 0, 0, 0)

    def set(self):
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)(self.mask, self.mask, 0, 0, 0, 0)
        if libc.capset(header, data):
            raise OSError(ctypes.get_errno(), "capset")


DAC_OVERRIDE, FOWNER, CHOWN, FSETID = 1, 3, 0, 4


def become(uid, groups, caps):
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    if caps:
        caps.keep()
    os.setresuid(uid, uid, uid)
    if caps:
        caps.set()


NEWUSER = 0x10000000


class Namespace:
    """Root of a user namespace that MAKER has made and to which root has given the maps MAP."""

    def __init__(self, name, maker, map):
        self.name, self.maker, self.map = name, maker, map

    def make(self):
        """Unshares the calling process, as MAKER; it has no id there until its maps are written."""
        become(self.maker, [], None)
        libc.prctl(4, 1, 0, 0, 0)
        if libc.unshare(NEWUSER):
            raise OSError(ctypes.get_errno(), "unshare")

    def write_maps(self, pid):
        for name in "uid_map", "gid_map":
            with open("/proc/%d/%s" % (pid, name), "w") as file:
                file.write(self.map)

    def enter(self):
        """By setns(), where the name says so: then it is root that enters what another has made."""
        made, mapped = os.pipe(), os.pipe()
        by_setns = self.name.endswith("setns")
        pid = os.fork()
        if (pid == 0) == by_setns:
            self.make()
            os.write(made[1], b"x")
            os.read(mapped[0], 1)
            if by_setns:
                os._exit(0)
            os.waitpid(pid, 0)
        else:
            os.read(made[0], 1)
            self.write_maps(pid if by_setns else os.getppid())
            if by_setns:
                fd = os.open("/proc/%d/ns/user" % pid, os.O_RDONLY)
                if libc.setns(fd, NEWUSER):
                    raise OSError(ctypes.get_errno(), "setns")
                os.close(fd)
            os.write(mapped[1], b"x")
            if not by_setns:
                os._exit(0)
            os.waitpid(pid, 0)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        for fd in made + mapped:
            os.close(fd)


def outcome(act):
    try:
        got = act()
        return "done" if got is None else "done, %s" % (got,)
    except OSError as error:
        return errno.errorcode[error.errno]


def as_user(look, behind, act, uid=USER, groups=(), caps=None, mode=0o777, prepare=None):
    """
    In a new directory, LOOK in MOUNT as UID, then BEHIND as root in BACKING, then ACT as UID: what
    came of that.
    """
    here.new(mode)
    if prepare:
        prepare()
    looked, go, told = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        become(uid, list(groups), caps)
        os.chdir(here.mount)
        outcome(look)
        os.write(looked[1], b"x")
        os.read(go[0], 1)
        os.write(told[1], outcome(act).encode())
        os._exit(0)
    os.read(looked[0], 1)
    behind()
    os.write(go[1], b"x")
    text = os.read(told[0], 1000).decode()
    os.waitpid(pid, 0)
    for fd in looked + go + told:
        os.close(fd)
    return text


class Here:
    """The directory of the case."""

    count = 0

    def new(self, mode=0o777):
        Here.count += 1
        self.mount = os.path.join(MOUNT, str(Here.count))
        self.backing = os.path.join(BACKING, str(Here.count))
        self.truth = os.path.join(TRUTH, str(Here.count))
        os.mkdir(self.mount)
        os.chmod(self.mount, mode)


here = Here()


def back(name):
    return os.path.join(here.backing, name)


def put(name, text="secret", uid=0, mode=0o600):
    """A new file in BACKING."""
    temporary = back(".new")
    with open(temporary, "w") as file:
        file.write(text)
    os.chown(temporary, uid, uid)
    os.chmod(temporary, mode)
    os.rename(temporary, back(name))


def text(name):
    try:
        with open(os.path.join(here.truth, name)) as file:
            return file.read()
    except OSError as error:
        return errno.errorcode[error.errno]


def state(name):
    """What is there, without what times and numbers differ in."""
    try:
        st = os.lstat(os.path.join(here.truth, name))
    except OSError as error:
        return errno.errorcode[error.errno]
    return "%o %d %d" % (st.st_mode, st.st_uid, st.st_size)


def case(name, result, *names):
    print("%s: %s; %s" % (name, result, ", ".join(state(n) for n in names)))


def opens(name, flags, mode=0o644):
    def act():
        fd = os.open(name, flags, mode)
        got = None
        if flags & os.O_ACCMODE != os.O_WRONLY:
            got = os.read(fd, 100)
        os.close(fd)
        return got

    return act


def stats(*names):
    def look():
        for name in names:
            try:
                os.lstat(name)
            except OSError:
                pass

    return look


def nothing():
    pass


# --- a name that was free when the caller looked ---

CREATE = [os.O_RDWR | os.O_CREAT, os.O_RDONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
          os.O_RDWR | os.O_CREAT | os.O_EXCL]


def create_behind():
    for flags in CREATE:
        for owner, mode in (0, 0o600), (0, 0o644), (0, 0o6777), (USER, 0o600), (OTHER, 0o6767):
            result = as_user(stats("x"), lambda: put("x", uid=owner, mode=mode), opens("x", flags))
            case("create %o of %d %o" % (flags, owner, mode), result, "x")

        def links():
            put("y")
            os.symlink("y", back("x"))

        case("create %o of a link" % flags, as_user(stats("x"), links, opens("x", flags)), "x", "y")
        case("create %o of a dangling link" % flags,
             as_user(stats("x"), lambda: os.symlink("y", back("x")), opens("x", flags)), "x", "y")
        case("create %o of a directory" % flags,
             as_user(stats("x"), lambda: os.mkdir(back("x")), opens("x", flags)), "x")
        case("create %o of a FIFO" % flags,
             as_user(stats("x"), lambda: os.mkfifo(back("x"), 0o600), opens("x", flags)), "x")
    case("make what exists", as_user(stats("x"), lambda: put("x"), lambda: os.mkdir("x")), "x")
    case("link to what exists",
         as_user(lambda: (stats("x")(), opens("mine", os.O_RDWR | os.O_CREAT)()),
                 lambda: put("x"), lambda: os.link("mine", "x")), "x")


# --- a name that has come to lead to another's file, in a sticky directory ---

def sticky():
    def mine(name, make=lambda n: os.close(os.open(n, os.O_WRONLY | os.O_CREAT))):
        def look():
            make(name)
            os.lstat(name)

        return look

    def swap_file():
        os.unlink(back("x"))
        put("x", uid=OTHER)

    def swap_dir():
        os.rmdir(back("x"))
        os.mkdir(back("x"))
        os.chown(back("x"), OTHER, OTHER)

    for caps in None, Caps(FOWNER), Caps(DAC_OVERRIDE):
        who = "with %x" % caps.mask if caps else "plain"

        def by(look, behind, act):
            return as_user(look, behind, act, caps=caps, mode=0o1777)

        case("sticky unlink, " + who, by(mine("x"), swap_file, lambda: os.unlink("x")), "x")
        case("sticky rmdir, " + who,
             by(mine("x", os.mkdir), swap_dir, lambda: os.rmdir("x")), "x")
        case("sticky rename of, " + who,
             by(mine("x"), swap_file, lambda: os.rename("x", "y")), "x", "y")
        case("sticky rename over, " + who,
             by(lambda: (mine("x")(), mine("y")()), swap_file, lambda: os.rename("y", "x")),
             "x", "y")
        case("sticky rename onto what was free, " + who,
             by(lambda: (mine("y")(), stats("x")()), lambda: put("x", uid=OTHER),
                lambda: os.rename("y", "x")), "x", "y")
        case("sticky exchange, " + who,
             by(lambda: (mine("x")(), mine("y")()), swap_file, lambda: rename_exchange("y", "x")),
             "x", "y")


def sticky_race():
    """The client removes its file for as long as root swaps it with another's."""
    here.new(0o1777)
    put("other", "precious", uid=OTHER)
    ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        become(USER, [], None)
        os.chdir(here.mount)
        os.write(ready[1], b"x")
        for _ in range(3000):
            for act in (lambda: os.close(os.open("mine", os.O_WRONLY | os.O_CREAT, 0o600)),
                        lambda: os.unlink("mine"), lambda: os.rename("mine", "gone"),
                        lambda: os.open("mine", os.O_WRONLY | os.O_TRUNC),
                        lambda: os.truncate("mine", 0)):
                outcome(act)
        os._exit(0)
    os.read(ready[0], 1)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        try:
            rename_exchange(back("mine"), back("other"))
        except OSError:
            pass
    left = [e.name for e in os.scandir(here.truth)
            if e.stat(follow_symlinks=False).st_uid == OTHER]
    print("race: %s" % [text(n) for n in left])
    for fd in ready:
        os.close(fd)


# --- modes and owners that have changed ---

ON_FILE = {
    "open": opens("x", os.O_RDWR),
    "open to truncate": opens("x", os.O_WRONLY | os.O_TRUNC),
    "open to read and truncate": opens("x", os.O_RDONLY | os.O_TRUNC),
    "truncate": lambda: os.truncate("x", 1),
    "setxattr": lambda: os.setxattr("x", "user.a", b"b"),
    "removexattr": lambda: os.removexattr("x", "user.there"),
    "getxattr": lambda: os.getxattr("x", "user.there"),
    "chmod": lambda: os.chmod("x", 0o777),
    "chgrp": lambda: os.chown("x", -1, GROUP),
    "times": lambda: os.utime("x", (1, 1)),
    "now": lambda: os.utime("x"),
    "link": lambda: os.link("x", "y"),
    "listxattr": lambda: [n for n in os.listxattr("x") if n.startswith("trusted.")],
}
IN_DIR = {
    "create": opens("d/new", os.O_RDWR | os.O_CREAT),
    "mkdir": lambda: os.mkdir("d/new"),
    "symlink": lambda: os.symlink("x", "d/new"),
    "fifo": lambda: os.mkfifo("d/new"),
    "unlink": lambda: os.unlink("d/old"),
    "rename": lambda: os.rename("d/old", "d/new"),
    "rename out": lambda: os.rename("d/old", "new"),
    "rename into": lambda: os.rename("x", "d/new"),
    "link into": lambda: os.link("x", "d/new"),
    "list": lambda: sorted(os.listdir("d")),
    "nameless": lambda: os.close(os.open("d", os.O_TMPFILE | os.O_RDWR)),
}


def changed():
    def prepare(uid, mode):
        put("x", uid=uid, mode=mode)
        os.setxattr(back("x"), "user.there", b"1")
        os.setxattr(back("x"), "trusted.there", b"1")
        os.mkdir(back("d"))
        put("d/old", uid=uid, mode=mode)
        os.chown(back("d"), uid, uid)
        os.chmod(back("d"), mode | 0o111)

    def change(uid, mode):
        for name in "x", "d":
            os.chown(back(name), uid, uid)
            os.chmod(back(name), mode | (0o111 if name == "d" else 0))

    ways = {
        "closed": ((USER, 0o666), (0, 0o600)),
        "given away": ((USER, 0o644), (OTHER, 0o644)),
        "the group's": ((0, 0o666), (GROUP, 0o660)),
        "not the group's": ((0, 0o666), (GROUP, 0o606)),
        "set-id": ((0, 0o6777), (0, 0o6777)),
    }
    whos = {"plain": {}, "member": {"groups": [GROUP]},
            "with dac_override": {"caps": Caps(DAC_OVERRIDE)},
            "with fowner": {"caps": Caps(FOWNER)},
            "with chown": {"caps": Caps(CHOWN, FSETID)}}
    for way, (first, then) in ways.items():
        for who, more in whos.items():
            for what, act in list(ON_FILE.items()) + list(IN_DIR.items()):
                result = as_user(stats("x", "d", "d/old", "d/new", "y", "new"),
                                 lambda: change(*then), act, prepare=lambda: prepare(*first),
                                 **more)
                case("%s, %s, %s" % (way, who, what), result, "x", "d", "d/old", "d/new")


# --- the root of a user namespace with the ids from USER on ---

def namespace_root():
    count = 10

    def run(owner, act):
        here.new()
        put("x", uid=owner, mode=0o600)
        os.mkdir(back("d"))
        put("d/old", uid=owner)
        os.chown(back("d"), owner, owner)
        ready, go, told = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            become(USER, [], None)
            libc.prctl(4, 1, 0, 0, 0)
            if libc.unshare(0x10000000):
                os.write(ready[1], b"n")
                os._exit(0)
            os.write(ready[1], b"y")
            os.read(go[0], 1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            os.chdir(here.mount)
            os.write(told[1], outcome(act).encode())
            os._exit(0)
        if os.read(ready[0], 1) == b"y":
            for name in "uid_map", "gid_map":
                with open("/proc/%d/%s" % (pid, name), "w") as file:
                    file.write("0 %d %d\n" % (USER, count))
            os.write(go[1], b"x")
            result = os.read(told[0], 1000).decode()
        else:
            result = "no user namespaces"
        os.waitpid(pid, 0)
        for fd in ready + go + told:
            os.close(fd)
        return result

    acts = {
        "read": opens("x", os.O_RDONLY), "truncate": lambda: os.truncate("x", 0),
        "chmod": lambda: os.chmod("x", 0o640), "chown": lambda: os.chown("x", 3, 4),
        "create": opens("d/new", os.O_RDWR | os.O_CREAT), "unlink": lambda: os.unlink("d/old"),
        "rename": lambda: os.rename("d/old", "d/new"), "list": lambda: os.listdir("d"),
    }
    for owner in USER + 5, USER + count, 0:
        for what, act in acts.items():
            result = run(owner, act)
            case("root of a namespace, %d's, %s" % (owner - USER, what), result, "x", "d/old",
                 "d/new")


# --- uid 0 of user namespaces, which may be ours ---

NAMESPACES = [
    Namespace("root's own", 0, "0 0 1"),
    Namespace("root's own, by setns", 0, "0 0 1"),
    Namespace("a user's with root's id, by setns", USER, "0 0 1"),
    Namespace("all ids", 0, "0 0 4294967295"),
    Namespace("all ids, by a user", USER, "0 0 4294967295"),
    Namespace("all ids, by a user, by setns", USER, "0 0 4294967295"),
    Namespace("a container's", USER, "0 100000 65536"),
    Namespace("root's and a container's", 0, "0 0 1\n1 100000 65536"),
]
IN_NAMESPACE = {
    "set trusted": lambda: os.setxattr("x", "trusted.there", b"2"),
    "get trusted": lambda: os.getxattr("x", "trusted.there"),
    "chown": lambda: os.chown("x", OTHER, OTHER),
    "set-id": lambda: os.chmod("x", 0o6755),
    "set capabilities": lambda: os.setxattr("x", "security.capability", CAP),
}


def as_one(who, enter, cases):
    """
    Like as_user() for each of CASES: (name, prepare, look, behind, act, the names to tell). One process
    does all of them, because to ENTER an identity can take long.
    """
    go, told = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go[1])
        os.close(told[0])
        enter()
        for _, _, look, _, act, _ in cases:
            os.chdir(os.read(go[0], 1000).decode())
            outcome(look)
            os.write(told[1], b"x")
            os.read(go[0], 1)
            os.write(told[1], outcome(act).encode())
        os._exit(0)
    os.close(go[0])
    os.close(told[1])
    for name, prepare, _, behind, _, names in cases:
        here.new()
        prepare()
        os.write(go[1], here.mount.encode())
        os.read(told[0], 1)
        behind()
        os.write(go[1], b"x")
        case("%s, %s" % (who, name), os.read(told[0], 1000).decode(), *names)
    os.waitpid(pid, 0)
    os.close(go[1])
    os.close(told[0])


def give_away(uid, gid=None):
    for name in "x", "d", "d/old":
        os.chown(back(name), uid, uid if gid is None else gid)


def given_away(first, then, gid=None):
    """
    A file and a directory change their owner after somebody has looked. Where he may do more by then,
    the kernel refuses it for as long as it remembers: such changes aren't here.
    """

    def prepare():
        put("x", mode=0o600)
        os.setxattr(back("x"), "user.there", b"1")
        os.setxattr(back("x"), "trusted.there", b"1")
        os.mkdir(back("d"))
        put("d/old", mode=0o600)
        give_away(first, gid)

    for what, act in {**ON_FILE, **IN_DIR, **IN_NAMESPACE}.items():
        yield ("%d to %d, %s, %s" % (first, then, gid, what), prepare,
               stats("x", "d", "d/old", "d/new", "y", "new"), lambda: give_away(then, gid), act,
               ("x", "d", "d/old", "d/new"))


def names_given_away(first, owners, sticky):
    """Directories in directories that stay FIRST's."""

    def prepare():
        for path in "from", "to", "from/x", "to/x":
            os.mkdir(back(path))
            os.chown(back(path), first, first)
        for path in "from", "to":
            os.chmod(back(path), 0o1777 if sticky else 0o777)

    def behind():
        for path, owner in zip(("from/x", "to/x"), owners):
            os.chown(back(path), owner, owner)

    acts = {
        "rmdir": lambda: os.rmdir("from/x"),
        "rename away": lambda: os.rename("from/x", "to/y"),
        "rename here": lambda: os.rename("from/x", "from/y"),
        "rename over": lambda: os.rename("from/x", "to/x"),
        "exchange": lambda: rename_exchange("from/x", "to/x"),
    }
    for what, act in acts.items():
        yield ("names of %d to %s, %s, %s" % (first, owners, sticky, what), prepare,
               stats("from", "to", "from/x", "to/x", "to/y", "from/y"), behind, act,
               ("from/x", "from/y", "to/x", "to/y"))


def namespaces():
    for namespace in NAMESPACES:
        cases = []
        for first, then in (0, OTHER), (0, 0), (100005, OTHER), (OTHER, OTHER):
            cases += given_away(first, then)
        cases += given_away(0, 0, GROUP)
        for first, owners in ((0, (OTHER, 0)), (0, (0, OTHER)), (0, (OTHER, OTHER)),
                              (100009, (OTHER, 100006)), (100009, (OTHER, OTHER))):
            for sticky in False, True:
                cases += names_given_away(first, owners, sticky)
        as_one(namespace.name, namespace.enter, cases)


# --- directories that are renamed: to have another "..", they have to be writable ---

def rename_with(flags):
    def act(a, b):
        if libc.renameat2(-100, a.encode(), -100, b.encode(), flags):
            raise OSError(ctypes.get_errno(), a)

    return act


NOREPLACE, EXCHANGE = rename_with(1), rename_with(2)
RENAMES = {
    "away": lambda: os.rename("from/x", "to/new"),
    "away, not over": lambda: NOREPLACE("from/x", "to/new"),
    "here": lambda: os.rename("from/x", "from/new"),
    "over": lambda: os.rename("from/x", "to/x"),
    "over a full one": lambda: os.rename("from/x", "to/full"),
    "over a file": lambda: os.rename("from/x", "to/file"),
    "not over": lambda: NOREPLACE("from/x", "to/x"),
    "exchange": lambda: EXCHANGE("from/x", "to/x"),
    "exchange here": lambda: EXCHANGE("from/x", "from/y"),
    "exchange with a file": lambda: EXCHANGE("from/x", "to/file"),
    "exchange a file": lambda: EXCHANGE("to/file", "from/x"),
    "exchange with nothing": lambda: EXCHANGE("from/x", "to/new"),
    "into itself": lambda: os.rename("from/x", "from/x/new"),
    "up": lambda: os.rename("from/x/in", "from/in"),
    "onto its parent": lambda: os.rename("from/x/in", "from/x"),
}
# errors of these the kernel finds in what it remembers, before anybody is asked
SEEN_ABOVE = "over a file", "into itself", "onto its parent"
RENAMERS = {
    "plain": ((), None), "member": ((GROUP,), None), "with dac_override": ((), Caps(DAC_OVERRIDE)),
    "with dac_read_search": ((), Caps(2)), "with fowner": ((), Caps(FOWNER)),
}


def renames():
    def prepare(parents, moved):
        for path in "from", "to", "from/x", "from/y", "from/x/in", "to/x", "to/full", "to/full/in":
            os.mkdir(back(path))
        put("to/file", uid=OTHER)
        change(parents, moved)

    def change(parents, moved):
        for paths, (uid, mode) in (("from", "to"), parents), (("from/x", "to/x", "to/full"), moved):
            for path in paths:
                os.chown(back(path), uid, GROUP)
                os.chmod(back(path), mode)

    names = "from", "to", "from/x", "from/y", "from/x/in", "from/new", "to/x", "to/full", "to/new"
    for who, (groups, caps) in RENAMERS.items():
        cases = []
        for parents in (USER, 0o755), (0, 0o1777), (OTHER, 0o1775):
            for moved in (USER, 0o555), (OTHER, 0o755), (0, 0o770):
                # as it is, and as it has become since it was looked at
                for first in (parents, moved), ((USER, 0o777), (USER, 0o777)):
                    for what, act in RENAMES.items():
                        if first[0] != parents and what in SEEN_ABOVE:
                            continue
                        cases.append(("%d %o, %d %o, %s, %s" % (*parents, *moved,
                                                                first[0] == parents, what),
                                      lambda f=first: prepare(*f), stats(*names, "to/file"),
                                      lambda p=parents, m=moved: change(p, m), act, names))
        as_one(who, lambda: become(USER, list(groups), caps), cases)


# --- set-id bits and file capabilities of what others change ---

def set_id():
    opening = {
        "O_TRUNC": lambda: os.close(os.open("x", os.O_WRONLY | os.O_TRUNC)),
        "O_RDONLY|O_TRUNC": lambda: os.close(os.open("x", os.O_RDONLY | os.O_TRUNC)),
        "O_CREAT|O_TRUNC": lambda: os.close(os.open("x", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)),
        "truncate": lambda: os.truncate("x", 3),
        "copy": lambda: os.copy_file_range(os.open("src", os.O_RDONLY), os.open("x", os.O_RDWR), 8),
        "copy pages": lambda: os.copy_file_range(os.open("src", os.O_RDONLY),
                                                 os.open("x", os.O_RDWR), 8192),
        "write": lambda: os.write(os.open("x", os.O_WRONLY), b"text"),
        "ftruncate": lambda: os.ftruncate(os.open("x", os.O_WRONLY), 2),
        "fallocate": lambda: os.posix_fallocate(os.open("x", os.O_WRONLY), 0, 100),
        "chown to its group": lambda: os.chown("x", -1, GROUP),
        "chmod": lambda: os.chmod("x", 0o6767),
    }
    # the server can't tell these from a write, so others than owners are refused by nobody
    owners = {"chown to nobody": lambda: os.chown("x", -1, -1)}
    for mode in 0o6777, 0o2767, 0o4777, 0o2777, 0o2666:
        for uid, groups in (USER, ()), (USER, (GROUP,)), (OTHER, ()), (OTHER, (GROUP,)):
            for caps in None, Caps(FSETID):
                acts = {**opening, **owners} if uid == OTHER and not caps else opening
                for what, act in acts.items():
                    def prepare():
                        put("x", "0" * 8, mode=mode)
                        put("src", "s" * 8192, mode=0o644)
                        os.chown(back("x"), OTHER, GROUP)
                        os.chmod(back("x"), mode)
                        os.setxattr(back("x"), "security.capability", CAP)

                    def then():
                        act()
                        return "%o" % stat.S_IMODE(os.stat("x").st_mode)

                    result = as_user(stats("x", "src"), nothing, then, uid=uid, groups=groups,
                                     caps=caps, prepare=prepare)
                    caps_left = "security.capability" in os.listxattr(back("x"))
                    case("set-id %o, %s, %d, %d groups, %s" %
                         (mode, what, uid, len(groups), caps and "fsetid"),
                         "%s, capabilities %s" % (result, caps_left), "x")


os.umask(0o022)
for part in sys.argv[4:]:
    globals()[part]()
