/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads files of /proc whose reader may hang, in threads that are left alone if they do. A process
 * that waits in execve(2) for the flush of a file that is closed there holds a lock that most files
 * of /proc/PID take (stat, stack, syscall, wchan, ns/ and other links; not status, comm, mountinfo
 * and the list of fd/); and mem takes the lock of its memory. One thread uses a reader.
 */
#ifndef CAISSON_READER_H
#define CAISSON_READER_H

#include <errno.h>
#include <pthread.h>

#include "stack/system.h"

#define READER_THREADS	 16
#define READER_TEXT_SIZE 4096

enum reader_op { READER_READ, READER_LINK, READER_READ_OPEN, READER_NAMES, READER_OPEN };

/* A thread, and what it is asked for. */
struct reader_thread {
	struct reader *reader;
	pthread_t thread;
	enum { READER_IDLE, READER_ASKED, READER_DONE } state;
	bool is_lost; /* it was given up; idle again when it is done */
	enum reader_op op;
	struct system_path path;
	uint64_t off;
	int fd;	     /* for READER_READ_OPEN */
	ssize_t len; /* of text, a descriptor, or -errno */
	char text[READER_TEXT_SIZE];
};

struct reader {
	struct system system; /* a copy: a thread that hangs may outlive the original */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_ending;
	uint32_t threads; /* that were started */
	struct reader_thread thread[READER_THREADS];
};

/* Starts the threads. Returns 0 or -errno. The directories of SYSTEM must stay open. */
int reader_start(struct reader *reader, const struct system *system);

/* Ends the threads that don't hang. The memory of READER must stay if it returns false. */
bool reader_stop(struct reader *reader);

/*
 * Reads a file from OFF on, as system_read_at() does. -ETIMEDOUT: it takes longer than 500 ms, and
 * its thread is lost until it is done; other files of that process aren't tried until then.
 * -EAGAIN: all threads are lost.
 */
ssize_t reader_read(struct reader *reader, const char *path, uint64_t off, char *text, size_t size);

/* The same for a symbolic link, as system_link(). */
ssize_t reader_link(struct reader *reader, const char *path, char *text, size_t size);

/*
 * The same for the file PATH, which is open as FD, from its beginning. Other files of its process
 * are tried while it is late.
 */
ssize_t reader_read_open(struct reader *reader, const char *path, int fd, char *text, size_t size);

/* Opens a file to be read. Returns a descriptor, which is the caller's, or -errno. */
int reader_open(struct reader *reader, const char *path);

/*
 * Calls EACH with the names in a directory, as system_names() does; of a large directory with the
 * first ones, as many as have room in READER_TEXT_SIZE.
 */
int reader_names(struct reader *reader, const char *path, system_name_fn *each, void *arg);

/* Whether RESULT says that something hangs. */
static inline bool reader_is_late(ssize_t result)
{
	return result == -ETIMEDOUT || result == -EAGAIN;
}

#endif
