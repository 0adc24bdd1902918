/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring of lines is a bounded queue with many producers and one consumer, after Dmitry Vyukov's
 * bounded MPMC queue. Each line has a turn. If the turn equals the position, the line may be
 * written; if it equals the position + 1, the line may be read. A producer claims a position by
 * moving `head`. If the line of that position is still unread, the ring is full and the message is
 * dropped. A producer that is preempted before it publishes delays the reader, but no producer.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/mutex.h"
#include "base/printable.h"

#define LINES	     256u
#define TEXT_LEN     512u /* includes the NUL */
#define NAME_LEN     32u
#define STACK_LEN    (256u << 10) /* small, because MCL_FUTURE locks all of it */
#define STOP_WAIT_MS 1000

#define FACILITY_DAEMON (3 << 3) /* RFC 3164, section 4.1.1 */

struct line {
	_Atomic uint64_t turn;
	bool retarget; /* instead of a message: later lines go to `target` */
	enum log_target target;
	enum log_level level;
	char text[TEXT_LEN];
};

static struct {
	struct line lines[LINES];
	_Atomic uint64_t head; /* next position to claim; any thread */
	uint64_t tail;	       /* next position to read; log thread only */
	_Atomic uint64_t dropped;
	uint64_t told; /* dropped lines that were reported in the log; log thread only */
	_Atomic bool running, stopping;
	int wake_fd, syslog_fd;
	int done_fd; /* eventfd that tells that the log thread has ended or changed its target */
	enum log_target target; /* log thread only */
	enum log_level split;	/* lines less urgent than this go to syslog; log thread only */
	const char *name;	/* of the program */
	pthread_t thread;
} ring = {
	.wake_fd = -1, .done_fd = -1, .syslog_fd = -1, .split = LOG_LEVEL_INFO, .name = "caissond"
};

/* Held while the C library has a lock of its own, which a child would inherit for ever. */
static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

__attribute__((format(printf, 2, 0))) static void format_line(char text[static TEXT_LEN],
							      const char *format, va_list args)
{
	int n = vsnprintf(text, TEXT_LEN, format, args);

	if (n < 0) /* only %ls could fail, and no caller uses it */
		text[0] = '\0';
	printable_line(text); /* a file name that contains a newline must not look like two lines */
}

/* Returns false if the line was lost. */
static bool write_stderr(const char *text)
{
	char line[NAME_LEN + TEXT_LEN];
	size_t len = (size_t)snprintf(line, sizeof(line), "%s: %s\n", ring.name, text);
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(STDERR_FILENO, line + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static void connect_syslog(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };

	/* without a listener, lines are dropped and counted until one appears */
	(void)connect(ring.syslog_fd, (struct sockaddr *)&address, sizeof(address));
}

static int open_syslog(void)
{
	tzset(); /* so that localtime_r() reads no file later */
	ring.syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ring.syslog_fd < 0)
		return -errno;
	connect_syslog();
	return 0;
}

static bool write_syslog(enum log_level level, const char *text)
{
	static const int severity[] = {
		[LOG_LEVEL_FAIL] = 3, /* error */
		[LOG_LEVEL_WARN] = 4, /* warning */
		[LOG_LEVEL_INFO] = 6, /* informational */
	};
	char when[32], packet[NAME_LEN + TEXT_LEN + 80];
	time_t now = time(NULL);
	struct tm tm;
	bool known;
	int len;

	mutex_lock(&library);
	known = localtime_r(&now, &tm) && strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	mutex_unlock(&library);
	if (!known)
		return false;
	len = snprintf(packet, sizeof(packet), "<%d>%s %s[%d]: %s",
		       FACILITY_DAEMON | severity[level], when, ring.name, (int)getpid(), text);
	if (send(ring.syslog_fd, packet, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN)
		return false; /* the listener is slow */
	connect_syslog();     /* a restarted listener has a new socket */
	return send(ring.syslog_fd, packet, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool write_line(enum log_level level, const char *text)
{
	return ring.target == LOG_TARGET_SYSLOG || level > ring.split ? write_syslog(level, text)
								      : write_stderr(text);
}

static void tell_done(void)
{
	uint64_t one = 1;

	(void)!write(ring.done_fd, &one, sizeof(one)); /* the counter can't overflow */
}

/* Waits up to STOP_WAIT_MS for tell_done(); returns false if the time ran out. */
static bool wait_for_done(void)
{
	struct pollfd done = { .fd = ring.done_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&done, 1, STOP_WAIT_MS) <= 0)
		return false;
	(void)!read(ring.done_fd, &count, sizeof(count)); /* poll() found it readable */
	return true;
}

/* Writes out the oldest line. Returns false if there is none. */
static bool consume(void)
{
	struct line *line = &ring.lines[ring.tail % LINES];

	if (atomic_load_explicit(&line->turn, memory_order_acquire) != ring.tail + 1)
		return false;
	if (line->retarget) {
		ring.target = line->target;
		ring.split = LOG_LEVEL_INFO;
		tell_done();
	} else if (!write_line(line->level, line->text)) {
		atomic_fetch_add_explicit(&ring.dropped, 1, memory_order_relaxed);
	}
	atomic_store_explicit(&line->turn, ring.tail + LINES, memory_order_release);
	ring.tail++;
	return true;
}

static void tell_drops(void)
{
	uint64_t dropped = log_dropped();
	char text[64];

	/* while lines are split, only lines for syslog are lost; report them once all go there */
	if (dropped == ring.told || ring.split != LOG_LEVEL_INFO)
		return;
	(void)snprintf(text, sizeof(text), "log: write: %llu lines were dropped",
		       (unsigned long long)(dropped - ring.told)); /* fits */
	if (write_line(LOG_LEVEL_WARN, text))
		ring.told = dropped;
}

/* Shared by log_start() and its thread; valid until the thread has posted `prepared`. */
struct start {
	int (*prepare)(void);
	int result;
	sem_t prepared;
};

static void *log_main(void *arg)
{
	struct start *start = arg;
	uint64_t count;
	int r = start->prepare ? start->prepare() : 0;

	start->result = r;
	(void)sem_post(&start->prepared); /* can't fail: the semaphore is valid and at 0 */
	if (r < 0)
		return NULL;
	for (;;) {
		/* read before the ring, so that lines queued before log_stop() are written */
		bool stopping = atomic_load(&ring.stopping);

		while (consume())
			;
		tell_drops();
		if (stopping)
			break;
		(void)!read(ring.wake_fd, &count,
			    sizeof(count)); /* on EINTR the loop looks again */
	}
	tell_done();
	return NULL;
}

/* The thread blocks all signals, also SIGPIPE, which a closed pipe on stderr would cause. */
static int start_thread(int (*prepare)(void))
{
	struct start start = { .prepare = prepare };
	sigset_t all, saved;
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	(void)sem_init(&start.prepared, 0, 0); /* 0 is a valid value */
	r = pthread_attr_setstacksize(&attr, STACK_LEN);
	(void)sigfillset(&all); /* can't fail */
	if (!r)
		r = pthread_sigmask(SIG_SETMASK, &all, &saved);
	if (!r) {
		r = pthread_create(&ring.thread, &attr, log_main, &start);
		(void)pthread_sigmask(SIG_SETMASK, &saved, NULL); /* as it was: can't fail */
	}
	(void)pthread_attr_destroy(&attr); /* can't fail */
	if (r)
		return -r;
	(void)pthread_setname_np(ring.thread, "log"); /* the name only helps people */
	while (sem_wait(&start.prepared) < 0)
		; /* EINTR */
	if (start.result < 0)
		(void)pthread_join(ring.thread, NULL); /* can't fail: joined only once */
	return start.result;
}

static void close_all(void)
{
	close_fd(&ring.wake_fd);
	close_fd(&ring.done_fd);
	close_fd(&ring.syslog_fd);
}

void log_before_clone(void)
{
	mutex_lock(&library);
}

void log_after_clone(bool in_child)
{
	bool had_syslog = ring.syslog_fd >= 0;

	mutex_unlock(&library);
	if (!in_child)
		return;
	atomic_store(&ring.running, false);
	ring.wake_fd = ring.done_fd = ring.syslog_fd = -1; /* the parent's */
	if (had_syslog)
		(void)open_syslog(); /* until log_start(), lines go there at once */
}

void log_fds(int fds[static LOG_FDS])
{
	fds[0] = ring.wake_fd;
	fds[1] = ring.done_fd;
	fds[2] = ring.syslog_fd;
}

void log_split(enum log_level level)
{
	/* if this fails, lines for syslog are dropped and counted */
	if (ring.syslog_fd < 0)
		(void)open_syslog();
	ring.split = level;
}

void log_name(const char *name)
{
	ring.name = name;
}

void log_early(enum log_target target)
{
	close_fd(&ring.syslog_fd);
	ring.target = target;
	if (target == LOG_TARGET_SYSLOG)
		(void)open_syslog(); /* if this fails, lines are dropped and counted */
}

int log_start(enum log_target target, int (*prepare)(void))
{
	int r;

	for (uint32_t i = 0; i < LINES; i++)
		atomic_store(&ring.lines[i].turn, i);
	atomic_store(&ring.head, 0);
	ring.tail = 0;
	ring.told = log_dropped();
	ring.target = target;
	atomic_store(&ring.stopping, false);

	ring.wake_fd = eventfd(0, EFD_CLOEXEC);
	ring.done_fd = eventfd(0, EFD_CLOEXEC);
	if (ring.wake_fd < 0 || ring.done_fd < 0) {
		r = -errno;
		goto err_fds;
	}
	if (target == LOG_TARGET_SYSLOG && ring.syslog_fd < 0)
		r = open_syslog();
	else
		r = 0;
	if (!r)
		r = start_thread(prepare);
	if (r < 0)
		goto err_fds;
	atomic_store(&ring.running, true);
	return 0;

err_fds:
	close_all();
	return r;
}

void log_stop(void)
{
	uint64_t one = 1;

	if (!atomic_exchange(&ring.running, false))
		return;
	atomic_store(&ring.stopping, true);
	(void)!write(ring.wake_fd, &one, sizeof(one)); /* the counter can't overflow */
	if (wait_for_done()) {
		(void)pthread_join(ring.thread, NULL); /* can't fail: joined only once */
		close_all();
		ring.target = LOG_TARGET_STDERR;
		ring.split = LOG_LEVEL_INFO;
	} else {
		/* the thread is stuck in a write; its descriptors stay open until the end */
		(void)pthread_detach(ring.thread);
	}
}

/* Claims a position for the caller to write. Returns its line, or NULL if the ring is full. */
static struct line *claim(uint64_t *ret_at)
{
	uint64_t at = atomic_load_explicit(&ring.head, memory_order_relaxed);

	for (;;) {
		struct line *line = &ring.lines[at % LINES];
		uint64_t turn = atomic_load_explicit(&line->turn, memory_order_acquire);

		if (turn == at) {
			/* on failure another producer took it, and `at` is now the current head */
			if (atomic_compare_exchange_weak(&ring.head, &at, at + 1)) {
				*ret_at = at;
				return line;
			}
		} else if (turn < at) {
			return NULL;
		} else {
			at = atomic_load_explicit(&ring.head, memory_order_relaxed);
		}
	}
}

static void publish(struct line *line, uint64_t at)
{
	uint64_t one = 1;

	atomic_store_explicit(&line->turn, at + 1, memory_order_release);
	(void)!write(ring.wake_fd, &one, sizeof(one)); /* the counter can't overflow */
}

int log_retarget(enum log_target target)
{
	struct line *line;
	uint64_t at;
	int r;

	if (!atomic_load(&ring.running))
		return -EINVAL;
	/* the log thread uses it only after it has read the line published below */
	if (target == LOG_TARGET_SYSLOG && ring.syslog_fd < 0) {
		r = open_syslog();
		if (r < 0)
			return r;
	}
	line = claim(&at);
	if (!line)
		return -ETIMEDOUT; /* the ring is full, because the old target is stuck */
	line->retarget = true;
	line->target = target;
	publish(line, at);
	return wait_for_done() ? 0 : -ETIMEDOUT;
}

void log_message(enum log_level level, const char *format, ...)
{
	int saved = errno;
	struct line *line;
	uint64_t at;
	va_list args;

	va_start(args, format);
	if (!atomic_load(&ring.running)) {
		char text[TEXT_LEN];

		format_line(text, format, args);
		if (!write_line(level, text))
			atomic_fetch_add_explicit(&ring.dropped, 1, memory_order_relaxed);
	} else if ((line = claim(&at))) {
		line->retarget = false;
		line->level = level;
		format_line(line->text, format, args);
		publish(line, at);
	} else {
		atomic_fetch_add_explicit(&ring.dropped, 1, memory_order_relaxed);
	}
	va_end(args);
	errno = saved;
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&ring.dropped, memory_order_relaxed);
}
