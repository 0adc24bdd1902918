#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Several SQLite processes write to one database in WAL mode, which uses locks and a shared mapping.
#
#@ packages: sqlite3 e2fsprogs
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"

writers=4 rounds=60

make_backing ext4 512M
serve
db=$mnt/test.db
same "$(sqlite3 "$db" 'PRAGMA journal_mode=WAL')" wal "journal mode"
sqlite3 "$db" 'CREATE TABLE log (writer INT, round INT, text TEXT, UNIQUE (writer, round));
	CREATE TABLE total (n INT); INSERT INTO total VALUES (0);'

# Every transaction adds a line and counts it.
writer() {
	local round
	for ((round = 1; round <= rounds; round++)); do
		echo "BEGIN IMMEDIATE;
			INSERT INTO log VALUES ($1, $round, hex(randomblob(2000)));
			UPDATE total SET n = n + 1;
			COMMIT;"
	done | sqlite3 -bail -cmd '.timeout 60000' "$db"
}
pids=()
for ((i = 0; i < writers; i++)); do
	writer $i &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid"
done
same "$(sqlite3 "$db" 'PRAGMA integrity_check')" ok integrity_check
same "$(sqlite3 "$db" 'SELECT count(*) FROM log')" $((writers * rounds)) lines
same "$(sqlite3 "$db" 'SELECT n FROM total')" $((writers * rounds)) "the count"
unserve
same "$(sqlite3 "$backing/test.db" 'PRAGMA integrity_check')" ok "integrity_check below"
