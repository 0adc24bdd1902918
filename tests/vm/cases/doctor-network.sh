# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# `caisson doctor` sees that the server of a network storage is this machine itself: NFS, and disks
# by iSCSI and NVMe over TCP, all from files of the same ext4.
#
#@ build: caisson
#@ programs: mkfs.ext4
#@ packages: e2fsprogs
#@ debs: nfs-kernel-server=exportfs,rpc.mountd,rpc.nfsd nfs-common=mount.nfs,mount.nfs4
#@ debs: open-iscsi=iscsid,iscsiadm,iscsi-iname
#@ tree: tests/vm/golden
#@ modules: ext4 nfsd nfsv4 target_core_file iscsi_target_mod iscsi_tcp sd_mod crc32c?
#@ modules: nvmet_tcp nvme_tcp
#@ disk: 512M
#@ memory: 768
#@ timeout: 240

# shellcheck source=tests/vm/guest/doctor.sh
. /vm/doctor.sh

mount_backing
mkdir -p /backing/export /mnt/nfs /mnt/disk /var/lib/nfs /run/lock /etc/iscsi

say "NFS from this machine"
printf 'nfs 2049/tcp\nsunrpc 111/tcp\nsunrpc 111/udp\n' >/etc/services
printf 'tcp 6 TCP\nudp 17 UDP\n' >/etc/protocols
mount -t nfsd nfsd /proc/fs/nfsd
: >/var/lib/nfs/etab
must "export" exportfs -i -o rw,no_root_squash,fsid=0,insecure 127.0.0.1:/backing/export
rpc.mountd --no-udp -N 3 || true
must "nfsd" rpc.nfsd -N 3 -G 10 -L 10 2
must "mount" run_with_timeout 60 mount -t nfs4 127.0.0.1:/ /mnt/nfs
drawn nfs /mnt/nfs
umount /mnt/nfs

say "iSCSI to this machine"
target=/sys/kernel/config/target
iqn=iqn.2000-01.example:disk
mount -t configfs configfs /sys/kernel/config
truncate -s 64M /backing/disk.img
mkdir -p $target/core/fileio_0/disk
printf fd_dev_name=/backing/disk.img,fd_dev_size=67108864 >$target/core/fileio_0/disk/control
echo 1 >$target/core/fileio_0/disk/enable
tpg=$target/iscsi/$iqn/tpgt_1
mkdir -p $tpg/np/127.0.0.1:3260 $tpg/lun/lun_0
ln -s $target/core/fileio_0/disk $tpg/lun/lun_0/disk
for word in authentication=0 generate_node_acls=1 demo_mode_write_protect=0; do
	echo "${word#*=}" >"$tpg/attrib/${word%=*}"
done
echo 1 >$tpg/enable
echo "InitiatorName=iqn.2000-01.example:here" >/etc/iscsi/initiatorname.iscsi
echo "node.startup = manual" >/etc/iscsi/iscsid.conf
iscsid || true
must "discover" run_with_timeout 60 iscsiadm -m discovery -t sendtargets -p 127.0.0.1
must "log in" run_with_timeout 60 iscsiadm -m node -T $iqn -l
is_there() { [ -b /dev/sda ]; }
must "the disk is there" wait_until 30 is_there
drawn iscsi /dev/sda
run_with_timeout 60 iscsiadm -m node -T $iqn -u

say "NVMe over TCP to this machine"
subsystem=/sys/kernel/config/nvmet/subsystems/disk
port=/sys/kernel/config/nvmet/ports/1
truncate -s 64M /backing/nvme.img
mkdir -p $subsystem/namespaces/1 $port
echo 1 >$subsystem/attr_allow_any_host
echo /backing/nvme.img >$subsystem/namespaces/1/device_path
echo 1 >$subsystem/namespaces/1/enable
for word in adrfam=ipv4 trtype=tcp traddr=127.0.0.1 trsvcid=4420; do
	echo "${word#*=}" >"$port/addr_${word%=*}"
done
must "serve" ln -s $subsystem $port/subsystems/disk
echo transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=disk >/dev/nvme-fabrics
is_connected() { [ -b /dev/nvme0n1 ]; }
must "the disk is there" wait_until 30 is_connected
drawn nvme /dev/nvme0n1
echo 1 >/sys/class/nvme/nvme0/delete_controller
