# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# caissond as a service of systemd, marked, by the unit of caissond(8): the program is replaced while
# a verified load runs, `systemctl reload` has the new version go on, and systemd follows it to its
# end. A program that is no good changes nothing, and the reload fails. After the keeper's death
# `systemctl restart` goes on with its server. caisson-watch.service is marked and locked, and names a
# server that is stopped. systemd runs as the first process of a PID namespace.
#
#@ build: caissond caissond-next caisson
#@ programs: /usr/lib/systemd/systemd systemctl unshare nsenter fio mkfs.ext4 false
#@ packages: systemd coreutils util-linux fio e2fsprogs
#@ tree: daemon/tool/caisson-watch.service.in
#@ modules: fuse ext4
#@ disk: 1G
#@ memory: 1024
#@ timeout: 420

mount_backing
mkdir -p /run/bin /run/systemd /run/lock /mnt/store /etc/systemd/system /var/lib /var/log
cp /usr/bin/caissond /run/bin/caissond
for target in default basic sysinit shutdown multi-user; do
	printf '[Unit]\nDefaultDependencies=no\n' >/etc/systemd/system/$target.target
done
cat >/etc/systemd/system/store.service <<-'END'
	[Service]
	Type=notify
	ExecStart=/run/bin/caissond -f -o log=stderr /backing /mnt/store
	ExecReload=/usr/bin/caisson upgrade /mnt/store
	StandardError=append:/run/caissond.log
	KillMode=process
	TimeoutStopSec=infinity
	OOMPolicy=continue
	LimitMEMLOCK=infinity
END

# sd COMMAND...: where systemd runs
sd() { nsenter -t "$systemd" -m -p -- "$@"; }
child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
property() { sd systemctl show -P "$1" store; }
value() { sd caisson status --json /mnt/store | sed -n "s/^ *\"$1\": *\"*\([^\",]*\)\"*,*\$/\1/p"; }
is() { [ "$(value "$1")" = "$2" ]; }

mount -t cgroup2 cgroup2 /sys/fs/cgroup
unshare --pid --mount --fork --mount-proc --propagation private -- \
	env container=test /usr/bin/systemd --system --log-target=console --log-level=info \
	--show-status=no >/run/systemd.log 2>&1 &
unshare=$!
is_up() {
	systemd=$(child_of $unshare) &&
		sd systemctl list-units >/run/units 2>&1
}
wait_until 60 is_up || sed 's/^/systemd: /' /run/systemd.log /run/units
must "systemd is up" is_up
must "start the service" sd systemctl start store
sed 's/^/log: /' /run/caissond.log
keeper=$(property MainPID)
check "it has the keeper's PID" is keeper_pid "$keeper"

nsenter -t "$systemd" -m -p -- fio --name=load --filename=/mnt/store/load --size=8m --rw=randwrite --bs=4k --ioengine=libaio \
	--iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=64 \
	--verify_state_save=0 --time_based --runtime=1000 --eta=never >/run/fio.log 2>&1 &
load=$!

install_program() {
	cp "$1" /run/bin/caissond.new
	mv /run/bin/caissond.new /run/bin/caissond
}
is_fine() {
	check "$1: the service is active" [ "$(property ActiveState)" = active ]
	check "$1: version $2 serves" is version "$2"
	check "$1: systemd has the keeper's PID" is keeper_pid "$(property MainPID)"
	check "$1: the load goes on" kill -0 $load
	check "$1: all is marked and locked" sd caisson audit /mnt/store >/run/audit.txt
}
this=$(value version)
for version in next "$this" next; do
	case $version in
	next) install_program /usr/bin/caissond-next ;;
	*) install_program /usr/bin/caissond ;;
	esac
	check "reload to $version" sd systemctl reload store
	is_fine "reload to $version" "$version"
	check "another keeper" [ "$(property MainPID)" != "$keeper" ]
	keeper=$(property MainPID)
done
install_program /usr/bin/false
expect_status 1 "reload to a program that ends" sd systemctl reload store
is_fine "after that" next
check "the same keeper" [ "$(property MainPID)" = "$keeper" ]
install_program /usr/bin/caissond-next

before=$(value takeovers)
sd kill -KILL "$(value pid)"
is_back() { is takeovers $((before + 1)); }
check "a server that dies has an heir" wait_until 30 is_back
sed 's/^/log: /' /run/caissond.log

# without the keeper, systemd leaves the server alone, and the next keeper goes on with it
sd kill -KILL "$keeper"
has_failed() { [ "$(property ActiveState)" = failed ]; }
check "the keeper dies: the service has failed" wait_until 30 has_failed
expect_status 1 "and nobody would take over" is recovery on
check "restart" sd systemctl restart store
has_spare() { is recovery on; }
check "somebody would" wait_until 30 has_spare
is_fine "restart" next
sed 's/^/log: /' /run/caissond.log

sed 's,@bindir@,/usr/bin,' /vm/caisson-watch.service.in >/etc/systemd/system/caisson-watch.service
mkdir /etc/systemd/system/caisson-watch.service.d
cat >/etc/systemd/system/caisson-watch.service.d/test.conf <<-'END'
	[Service]
	ExecStart=
	ExecStart=/usr/bin/caisson watch --stall 5
	StandardError=append:/run/watch.log
END
sd systemctl daemon-reload
must "start the watch" sd systemctl start caisson-watch
watch=$(sd systemctl show -P MainPID caisson-watch)
watches() { grep -q 'watch: begin' /run/watch.log; }
check "it watches" wait_until 30 watches
check "marked and locked" sd caisson audit "$watch"
server=$(value pid)
# fio waits for its asynchronous requests in user space: fusectl tells that there are some
sd mount -t fusectl fusectl /sys/fs/fuse/connections
sd kill -STOP "$server"
names_it() { grep -q "caissond($server), which is stopped by a signal" /run/watch.log; }
check "it names a server that is stopped" wait_until 60 names_it
sd kill -CONT "$server"
sd systemctl stop caisson-watch
check "it ends well" [ "$(sd systemctl show -P Result caisson-watch)" = success ]
sed 's/^/watch: /' /run/watch.log

kill -INT "$(child_of $load)" # nsenter passes no signals on
expect_status 128 "the load" wait_job 60 $load
sed 's/^/fio: /' /run/fio.log
has_found() { grep -qiE 'verify:|error=' /run/fio.log; }
expect_status 1 "fio has found nothing" has_found
nsenter -t "$systemd" -m -p -- dash -c 'exec sleep 1000 </mnt/store/load' &
user=$!
sd systemctl stop --no-block store
is_unmounted() { ! sd grep -q /mnt/store /proc/self/mounts; }
check "stop unmounts" wait_until 30 is_unmounted
check "and waits for the last user" [ "$(property ActiveState)" = deactivating ]
kill "$(child_of $user)"
has_stopped() { [ "$(property ActiveState)" = inactive ]; }
check "it ends with its last user" wait_until 60 has_stopped
check "and well" [ "$(property Result)" = success ]
sed 's/^/systemd: /' /run/systemd.log
