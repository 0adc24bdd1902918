/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's side: a FUSE connection with its clients, eventfds, the disk, and, behind the
 * linker's --wrap, the calls of the daemon's at which another thread may have its turn.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/pool.h"
#include "explore.h"
#include "serve/op-io.h"
#include "serve/request.h"
#include "store/creds.h"
#include "store/store.h"

/* Descriptors of ours lie where no real one does. */
#define DEVICE_FD  1000
#define EVENT_FD   2000
#define EVENTS	   24
#define MUTEXES	   8
#define SEMAPHORES 5

/* With the kernel's FUSE_INT_REQ_BIT. */
#define INTERRUPT_UNIQUE(i) (UNIQUE(i) | 1)

enum message_state { TO_COME, PENDING, TAKEN, OVER };

static const struct message *messages;
static uint32_t message_count;
static enum message_state now[MESSAGES];
static int32_t answers[MESSAGES]; /* errors of those that are over */
static struct kernel_freedom freedom;
static enum { CONNECTED, ABORTED, UNMOUNTED } connection;
static int timer;
static uint32_t leases_met;
static bool stopped, shortened, failed, sync_failed;
static bool ends_late[MESSAGES]; /* a sync that the disk has ended after one has failed */
static uint32_t deaths, answered_after[MESSAGES]; /* that many deaths */
void (*kernel_on_stop)(void);
void (*kernel_on_death)(void);

static struct {
	uint64_t count;
} events[EVENTS];
static int event_count, device_count;
static struct {
	const sem_t *semaphore;
	uint64_t units;
} semaphores[SEMAPHORES]; /* the workers', and one of each */

static struct {
	pthread_mutex_t *mutex;
	bool held;
} mutexes[MUTEXES];

uint64_t moves_seen[REQUEST_STATES][REQUEST_STATES];

void kernel_reset(const struct message *to_send, uint32_t count, const struct kernel_freedom *free)
{
	assert(count <= MESSAGES);
	messages = to_send;
	message_count = count;
	memset(now, 0, sizeof(now));
	memset(answers, 0, sizeof(answers));
	memset(answered_after, 0, sizeof(answered_after));
	memset(events, 0, sizeof(events));
	memset(mutexes, 0, sizeof(mutexes));
	event_count = device_count = 0;
	memset(semaphores, 0, sizeof(semaphores));
	freedom = *free;
	connection = CONNECTED;
	stopped = shortened = failed = sync_failed = false;
	memset(ends_late, 0, sizeof(ends_late));
	leases_met = deaths = 0;
}

static bool is_without_answer(uint32_t i)
{
	return messages[i].opcode == FUSE_INTERRUPT || messages[i].opcode == FUSE_FORGET;
}

/* --- clients --- */

/* They send in the order of the list, each when what it waits for is over. */
static bool can_send(uint32_t i)
{
	if (connection != CONNECTED || stopped || now[i] != TO_COME || (i && now[i - 1] == TO_COME))
		return false;
	for (uint32_t j = 0; j < message_count; j++) {
		if (messages[i].after & 1u << j && now[j] != OVER)
			return false;
	}
	/*
	 * an interrupt is about what the daemon has; what it doesn't have the kernel itself takes
	 * back
	 */
	if (messages[i].opcode == FUSE_INTERRUPT)
		return now[messages[i].interrupts / 2 - 1] >= TAKEN;
	return true;
}

static void send_message(uint32_t i)
{
	bool too_late = messages[i].opcode == FUSE_INTERRUPT &&
			now[messages[i].interrupts / 2 - 1] == OVER;

	explore_trace("the client sends", UNIQUE(i));
	now[i] = too_late ? OVER : PENDING;
}

static bool all_over(void)
{
	for (uint32_t i = 0; i < message_count; i++) {
		if (now[i] != OVER)
			return false;
	}
	return true;
}

bool kernel_awaits(uint32_t i)
{
	return i < message_count && now[i] == TAKEN && connection == CONNECTED && !stopped;
}

bool kernel_may_die(void)
{
	return deaths < freedom.deaths && connection == CONNECTED;
}

/* What is private to a process goes with it. */
void kernel_die(void)
{
	explore_trace("the process dies", ++deaths);
	memset(mutexes, 0, sizeof(mutexes));
	memset(semaphores, 0, sizeof(semaphores));
	ring_die();
	kernel_on_death();
}

bool kernel_has_answered(uint64_t unique)
{
	uint32_t i = (uint32_t)(unique / 2 - 1);

	return i < message_count && now[i] == OVER && !is_without_answer(i);
}

/* What a WRITE carries, throughout. */
static int data_of(uint32_t i)
{
	return (int)i + 1;
}

/* Whether message I is a WRITE, and its data are in the file, with nothing from elsewhere. */
static bool is_written(uint32_t i, int fd)
{
	uint8_t data[BLOCK_BYTES];

	if (messages[i].opcode != FUSE_WRITE)
		return false;
	assert(messages[i].size == sizeof(data));
	if (pread(fd, data, sizeof(data), (off_t)messages[i].offset) != sizeof(data))
		return false;
	for (size_t k = 0; k < sizeof(data); k++) {
		if (data[k] != data_of(i))
			return false;
	}
	return true;
}

/* Whether an FSYNC has told of the disk's failure, if it was one's. */
static bool is_told(void)
{
	bool told = !sync_failed;

	for (uint32_t i = 0; i < message_count && !told; i++)
		told = messages[i].opcode == FUSE_FSYNC && answers[i];
	return told;
}

bool kernel_is_content(int fd)
{
	if (connection != ABORTED && !stopped && !is_told()) {
		explore_trace("no FSYNC has failed", 0);
		return false;
	}
	for (uint32_t i = 0; i < message_count; i++) {
		if (now[i] != OVER && connection != ABORTED && !stopped) {
			explore_trace("has no answer", UNIQUE(i));
			return false;
		}
		/* what an entry holds goes with a daemon that ends, unless it is done */
		if (now[i] == TAKEN && connection != ABORTED &&
		    (!(stopped && freedom.entries) || is_written(i, fd))) {
			explore_trace("was taken and has no answer", UNIQUE(i));
			return false;
		}
		if (messages[i].opcode == FUSE_WRITE && now[i] == OVER && !answers[i] &&
		    !messages[i].overwritten && !freedom.error && !is_written(i, fd)) {
			explore_trace("was written, and isn't there", UNIQUE(i));
			return false;
		}
	}
	return true;
}

/* The header and the argument as the kernel lays them out. */
static uint32_t put_message(uint32_t i, struct fuse_in_header *in, void *arg)
{
	const struct message *message = &messages[i];
	uint32_t arg_len = 0, data_len = 0;

	switch (message->opcode) {
	case FUSE_WRITE:
		*(struct fuse_write_in *)arg = (struct fuse_write_in){
			.fh = message->fh,
			.offset = message->offset,
			.size = message->size,
		};
		arg_len = sizeof(struct fuse_write_in);
		data_len = message->size;
		break;
	case FUSE_READ:
		*(struct fuse_read_in *)arg = (struct fuse_read_in){
			.fh = message->fh,
			.offset = message->offset,
			.size = message->size,
		};
		arg_len = sizeof(struct fuse_read_in);
		break;
	case FUSE_FSYNC:
		*(struct fuse_fsync_in *)arg = (struct fuse_fsync_in){ .fh = message->fh };
		arg_len = sizeof(struct fuse_fsync_in);
		break;
	case FUSE_LSEEK:
		*(struct fuse_lseek_in *)arg =
			(struct fuse_lseek_in){ .fh = message->fh, .whence = SEEK_DATA };
		arg_len = sizeof(struct fuse_lseek_in);
		break;
	case FUSE_SETATTR:
		*(struct fuse_setattr_in *)arg = (struct fuse_setattr_in){
			.fh = message->fh,
			.valid = FATTR_SIZE | (message->fh ? FATTR_FH : 0),
			.size = message->size,
		};
		arg_len = sizeof(struct fuse_setattr_in);
		break;
	case FUSE_INTERRUPT:
		*(struct fuse_interrupt_in *)arg =
			(struct fuse_interrupt_in){ .unique = message->interrupts };
		arg_len = sizeof(struct fuse_interrupt_in);
		break;
	case FUSE_FORGET:
		*(struct fuse_forget_in *)arg = (struct fuse_forget_in){ .nlookup = 0 };
		arg_len = sizeof(struct fuse_forget_in);
		break;
	default:
		explore_fail("a message that the explorer can't make");
	}
	*in = (struct fuse_in_header){
		.len = (uint32_t)sizeof(*in) + arg_len + data_len,
		.opcode = message->opcode,
		.unique = message->opcode == FUSE_INTERRUPT ? INTERRUPT_UNIQUE(i) : UNIQUE(i),
		.nodeid = message->opcode == FUSE_SETATTR ? world_nodeid() : FUSE_ROOT_ID,
	};
	return arg_len;
}

/* An answer, of BODY_LEN bytes besides its header. Returns 0, or -ENOENT: nobody waits for it. */
static int take_answer(const struct fuse_out_header *out, uint32_t body_len)
{
	uint32_t i = (uint32_t)(out->unique / 2 - 1);
	const struct message *message = &messages[i];
	bool allowed = out->error == 0 && !message->must_fail;

	if (i < message_count && messages[i].opcode == FUSE_INTERRUPT &&
	    out->unique == INTERRUPT_UNIQUE(i))
		explore_fail("an interrupt was answered");
	if (i >= message_count || out->unique != UNIQUE(i) || is_without_answer(i))
		explore_fail("an answer to what was never asked");
	if (connection == ABORTED)
		return -ENOENT;
	if (now[i] == OVER && answered_after[i] < deaths)
		return -ENOENT; /* of a process that has died it isn't known whether it had */
	if (now[i] != TAKEN)
		explore_fail(now[i] == OVER ? "answered twice" : "answered before it was taken");
	for (unsigned k = 0; message->errors[k]; k++)
		allowed |= out->error == message->errors[k];
	allowed |= freedom.error && out->error == freedom.error;
	/* no opener has two syncs */
	allowed &= !ends_late[i] || out->error;
	if (!allowed) {
		explore_trace("has error", (uint64_t)-out->error);
		explore_fail("an answer that is wrong");
	}
	if (!out->error && message->opcode == FUSE_WRITE) {
		const struct fuse_write_out *written = (const void *)(out + 1);

		if (body_len != sizeof(*written) ||
		    (written->size != message->size && !freedom.error))
			explore_fail("an answer of the wrong length");
	}
	explore_trace("is answered", out->unique);
	now[i] = OVER;
	answers[i] = out->error;
	answered_after[i] = deaths;
	return 0;
}

/* --- the device --- */

static bool is_for_device(uint32_t i)
{
	return now[i] == PENDING && (!freedom.entries || is_without_answer(i));
}

static int device_read(void *buffer, size_t cap)
{
	struct fuse_in_header *in = buffer;

	if (connection != CONNECTED)
		return connection == ABORTED ? -ECONNABORTED : -ENODEV;
	for (uint32_t i = 0; i < message_count; i++) {
		uint32_t arg_len;

		if (!is_for_device(i))
			continue;
		arg_len = put_message(i, in, in + 1);
		if (in->len > cap)
			explore_fail("a buffer that is too short");
		if (messages[i].opcode == FUSE_WRITE)
			memset((uint8_t *)(in + 1) + arg_len, data_of(i), messages[i].size);
		now[i] = is_without_answer(i) ? OVER : TAKEN;
		explore_trace("is read", UNIQUE(i));
		return (int)in->len;
	}
	return -EAGAIN;
}

static int device_write(const void *data, size_t len)
{
	const struct fuse_out_header *out = data;
	int r;

	if (len < sizeof(*out) || out->len != len)
		explore_fail("an answer whose length is wrong");
	r = take_answer(out, (uint32_t)(len - sizeof(*out)));
	return r < 0 ? r : (int)len;
}

/* --- entries --- */

/* What the entry's registration gave us: header and payload. Kept for the commands that follow. */
static const struct iovec *entry_parts(const struct operation *operation)
{
	static const struct iovec *parts[64];
	uint32_t index = (uint32_t)operation->user_data;

	assert(index < 64);
	if (operation->cmd_op == CAISSON_FUSE_URING_REGISTER)
		parts[index] = (const struct iovec *)(uintptr_t)operation->addr;
	return parts[index];
}

static struct caisson_fuse_uring_req_header *entry_header(const struct operation *operation)
{
	return entry_parts(operation)[0].iov_base;
}

static bool can_deliver(const struct operation *operation, uint32_t i)
{
	return operation->in_use && operation->opcode == IORING_OP_URING_CMD && now[i] == PENDING &&
	       !is_without_answer(i);
}

static void deliver(struct operation *operation, uint32_t i)
{
	struct caisson_fuse_uring_req_header *header = entry_header(operation);
	struct fuse_in_header *in = (void *)header->in_out;

	(void)put_message(i, in, header->op_in);
	if (messages[i].opcode == FUSE_WRITE) {
		memset(entry_parts(operation)[1].iov_base, data_of(i), messages[i].size);
		header->ent_in_out.payload_sz = messages[i].size;
	} else {
		header->ent_in_out.payload_sz = 0;
	}
	header->ent_in_out.commit_id = UNIQUE(i);
	now[i] = TAKEN;
	explore_trace("is put into an entry", UNIQUE(i));
	ring_complete(operation, 0);
}

static void commit(const struct operation *operation)
{
	struct caisson_fuse_uring_req_header *header = entry_header(operation);
	const struct fuse_out_header *out = (const void *)header->in_out;
	struct {
		struct fuse_out_header header;
		struct fuse_write_out body;
	} answer = { .header = *out, .body.size = 0 };

	if (operation->commit_id != out->unique)
		explore_fail("a commit for another request than the answer's");
	if (header->ent_in_out.payload_sz == sizeof(answer.body))
		memcpy(&answer.body, entry_parts(operation)[1].iov_base, sizeof(answer.body));
	(void)take_answer(&answer.header, header->ent_in_out.payload_sz);
}

/* --- io_uring's operations --- */

static bool is_device(int fd)
{
	return fd >= DEVICE_FD && fd < DEVICE_FD + device_count;
}

static bool is_event(int fd)
{
	return fd >= EVENT_FD && fd < EVENT_FD + event_count;
}

bool kernel_has_fd(int fd)
{
	return is_device(fd) || is_event(fd);
}

static bool cancel(uint64_t user_data)
{
	struct operation *operations;
	uint32_t count = ring_operations(&operations);

	for (uint32_t i = 0; i < count; i++) {
		if (operations[i].in_use && operations[i].opcode == IORING_OP_POLL_ADD &&
		    operations[i].user_data == user_data) {
			ring_complete(&operations[i], -ECANCELED);
			return true;
		}
	}
	return false;
}

/*
 * Writes that are under way are all direct, as one that begins, or all go through the page cache.
 */
static void check_ways(bool direct)
{
	struct operation *operations;
	uint32_t count = ring_operations(&operations);

	for (uint32_t i = 0; i < count; i++) {
		const struct operation *other = &operations[i];

		if (other->in_use && other->opcode == IORING_OP_WRITE && !is_device(other->fd) &&
		    world_is_direct(other->fd) != direct)
			explore_fail("a direct and a cached change of one file at the same time");
	}
}

bool kernel_submit(struct operation *operation, int *ret_result)
{
	switch (operation->opcode) {
	case IORING_OP_WRITE:
		if (!is_device(operation->fd)) {
			check_ways(world_is_direct(operation->fd));
			return false;
		}
		*ret_result =
			device_write((const void *)(uintptr_t)operation->addr, operation->len);
		return true;
	case IORING_OP_ASYNC_CANCEL:
		*ret_result = cancel(operation->addr) ? 0 : -ENOENT;
		return true;
	case IORING_OP_URING_CMD:
		(void)entry_parts(operation);
		if (operation->cmd_op == CAISSON_FUSE_URING_COMMIT_AND_FETCH)
			commit(operation);
		return false;
	default:
		return false;
	}
}

/* Does an operation on the file. Returns bytes, or 0, or -errno. */
static int do_io(const struct operation *operation)
{
	void *buffer = (void *)(uintptr_t)operation->addr;
	uint32_t len = operation->len;
	uint32_t outcomes = 1, which;
	bool can_be_short =
		freedom.short_io && !shortened && len > 1 &&
		(operation->opcode == IORING_OP_WRITE || operation->opcode == IORING_OP_READ);
	ssize_t n = 0;

	outcomes += can_be_short;
	outcomes += freedom.error && !failed;
	which = choose(outcomes);
	if (which && which == outcomes - 1 && freedom.error && !failed) {
		failed = true;
		sync_failed = operation->opcode == IORING_OP_FSYNC;
		explore_trace("the disk fails", 0);
		return freedom.error;
	}
	if (operation->opcode == IORING_OP_FSYNC && sync_failed)
		ends_late[world_unique((uint32_t)operation->user_data) / 2 - 1] = true;
	if (which) {
		shortened = true;
		len /= 2;
		explore_trace("the disk has done half", 0);
	} else {
		explore_trace("the disk has done it", 0);
	}
	if (operation->opcode == IORING_OP_WRITE)
		n = pwrite(operation->fd, buffer, len, (off_t)operation->off);
	else if (operation->opcode == IORING_OP_READ)
		n = pread(operation->fd, buffer, len, (off_t)operation->off);
	assert(n >= 0);
	return (int)n;
}

static bool can_complete(const struct operation *operation)
{
	if (!operation->in_use)
		return false;
	switch (operation->opcode) {
	case IORING_OP_POLL_ADD:
		if (is_event(operation->fd))
			return events[operation->fd - EVENT_FD].count;
		if (connection != CONNECTED)
			return true;
		for (uint32_t i = 0; i < message_count; i++) {
			if (is_for_device(i))
				return true;
		}
		return false;
	case IORING_OP_URING_CMD:
		return connection != CONNECTED;
	case IORING_OP_READ:
		return !is_event(operation->fd) || events[operation->fd - EVENT_FD].count;
	default:
		return true;
	}
}

static void complete(struct operation *operation)
{
	switch (operation->opcode) {
	case IORING_OP_POLL_ADD:
		ring_complete(operation, 1);
		return;
	case IORING_OP_URING_CMD:
		ring_complete(operation, connection == ABORTED ? -ECONNABORTED : -ENOTCONN);
		return;
	case IORING_OP_READ:
		if (is_event(operation->fd)) {
			*(uint64_t *)(uintptr_t)operation->addr =
				events[operation->fd - EVENT_FD].count;
			events[operation->fd - EVENT_FD].count = 0;
			ring_complete(operation, sizeof(uint64_t));
			return;
		}
		break;
	}
	ring_complete(operation, do_io(operation));
}

/* --- what can happen --- */

/*
 * What happens as soon as it can, as nobody can tell when it did before he asks, and when he asks
 * is a choice of its own: the sending of messages, and the reading of an eventfd.
 */
static void happen_at_once(void)
{
	struct operation *operations;
	uint32_t operation_count = ring_operations(&operations);

	for (uint32_t i = 0; i < message_count; i++) {
		if (can_send(i))
			send_message(i);
	}
	for (uint32_t k = 0; k < operation_count; k++) {
		if (operations[k].in_use && operations[k].opcode == IORING_OP_READ &&
		    is_event(operations[k].fd) && can_complete(&operations[k]))
			complete(&operations[k]);
	}
}

/* Calls number WHICH of what can happen, or counts them. */
static uint32_t events_walk(uint32_t which)
{
	struct operation *operations;
	uint32_t operation_count = ring_operations(&operations), n = 0;

#define HAPPENS(condition, what)                                                                   \
	do {                                                                                       \
		if (condition) {                                                                   \
			if (n == which) {                                                          \
				what;                                                              \
				return n;                                                          \
			}                                                                          \
			n++;                                                                       \
		}                                                                                  \
	} while (0)

	for (uint32_t k = 0; k < operation_count; k++) {
		struct operation *operation = &operations[k];

		if (!operation->in_use)
			continue;
		HAPPENS(can_complete(operation), complete(operation));
		for (uint32_t i = 0; i < message_count; i++) {
			if (can_deliver(operation, i)) {
				HAPPENS(connection == CONNECTED, deliver(operation, i));
				break; /* in their order */
			}
		}
	}
	HAPPENS(all_over() && connection == CONNECTED && !stopped && !freedom.stop,
		explore_trace("unmounted", 0);
		connection = UNMOUNTED);
	HAPPENS(freedom.abort && connection == CONNECTED, explore_trace("aborted", 0);
		connection = ABORTED);
	HAPPENS(freedom.stop && !stopped, explore_trace("told to stop", 0); stopped = true;
		kernel_on_stop());
#undef HAPPENS
	return n;
}

uint32_t kernel_events(void)
{
	happen_at_once();
	return events_walk(UINT32_MAX);
}

void kernel_happen(uint32_t which)
{
	(void)events_walk(which);
}

uint64_t kernel_hash(uint64_t hash)
{
	const uint32_t flags[] = { stopped, shortened, failed, sync_failed, leases_met, deaths };

	hash = hash_bytes(hash, now, sizeof(now));
	hash = hash_bytes(hash, answers, sizeof(answers));
	hash = hash_bytes(hash, answered_after, sizeof(answered_after));
	hash = hash_bytes(hash, &connection, sizeof(connection));
	for (int i = 0; i < SEMAPHORES; i++)
		hash = hash_bytes(hash, &semaphores[i].units, sizeof(semaphores[i].units));
	hash = hash_bytes(hash, flags, sizeof(flags));
	hash = hash_bytes(hash, ends_late, sizeof(ends_late));
	for (int i = 0; i < EVENTS; i++)
		hash = hash_bytes(hash, &events[i].count, sizeof(events[i].count));
	return ring_hash(hash);
}

/* --- the daemon's calls; --wrap gives them to us --- */

int __real_open64(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_read(int fd, void *buffer, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_close(int fd);
int __real_store_reopen(const struct store *store, int fd, int flags, int *ret_fd);
const void *__real_request_reply(const struct arena *arena, struct request *request, int error,
				 uint32_t body_len);
int __real_op_io_finish(struct op_io *io, struct request *request, int64_t result,
			uint32_t *ret_body_len);
uint32_t __real_pool_take(struct pool *pool);
void __real_pool_put(struct pool *pool, uint32_t index);

int __wrap_open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list rest;

	if (strcmp(path, "/dev/fuse") == 0)
		return DEVICE_FD + device_count++;
	va_start(rest, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(rest, mode_t);
	va_end(rest);
	return __real_open64(path, flags, mode);
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	return is_device(fd) ? 0 : __real_ioctl(fd, request, arg);
}

int __wrap_eventfd(unsigned initial, int flags)
{
	assert(event_count < EVENTS && !initial);
	assert(!(flags & EFD_SEMAPHORE));
	return EVENT_FD + event_count++;
}

/* The timer of those who wait for leases is an eventfd with a unit as soon as it was started. */
int __wrap_timerfd_create(int clock, int flags)
{
	(void)clock;
	assert(flags & TFD_NONBLOCK);
	return timer = __wrap_eventfd(0, 0);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	(void)flags, (void)new, (void)old;
	fiber_may_stop();
	events[fd - EVENT_FD].count = 1;
	return 0;
}

bool kernel_timer_is_due(void)
{
	return events[timer - EVENT_FD].count > 0;
}

int __wrap_store_reopen(const struct store *store, int fd, int flags, int *ret_fd)
{
	fiber_may_stop();
	if (leases_met < freedom.leases && choose(2)) {
		leases_met++;
		explore_trace("meets a lease", leases_met);
		return -EAGAIN;
	}
	return __real_store_reopen(store, fd, flags, ret_fd);
}

/* All threads are one, with one identity. */
int __wrap_creds_assume(const struct caller *caller)
{
	(void)caller;
	return 0;
}

void __wrap_creds_resume(void)
{
}

static bool has_units(void *arg)
{
	return events[*(const int *)arg - EVENT_FD].count > 0;
}

static ssize_t to_libc(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

ssize_t __wrap_read(int fd, void *buffer, size_t len)
{
	uint64_t units;

	if (is_device(fd)) {
		fiber_may_stop();
		return to_libc(device_read(buffer, len));
	}
	if (!is_event(fd))
		return __real_read(fd, buffer, len);
	if (fd != timer)
		fiber_wait(has_units, &fd, true, "waits for work: none will come");
	units = events[fd - EVENT_FD].count;
	events[fd - EVENT_FD].count = 0;
	memcpy(buffer, &units, sizeof(units));
	return sizeof(units);
}

static bool is_polled(void *arg)
{
	return __real_poll(arg, 1, 0) > 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (!is_device(fds->fd)) {
		if (fiber_name() && timeout) /* for a sentinel */
			fiber_wait(is_polled, fds, false, "waits for a ring that doesn't end");
		return __real_poll(fds, count, timeout);
	}
	for (uint32_t i = 0; i < message_count; i++) {
		if (is_for_device(i))
			return 1;
	}
	return connection != CONNECTED;
}

static uint64_t *units_of(const sem_t *semaphore)
{
	int i = 0;

	while (semaphores[i].semaphore && semaphores[i].semaphore != semaphore) {
		i++;
		assert(i < SEMAPHORES);
	}
	semaphores[i].semaphore = semaphore;
	return &semaphores[i].units;
}

static bool has_work(void *semaphore)
{
	return *units_of(semaphore) > 0;
}

int __wrap_sem_wait(sem_t *semaphore)
{
	fiber_wait(has_work, semaphore, true, "waits for work: none will come");
	--*units_of(semaphore);
	return 0;
}

int __wrap_sem_post(sem_t *semaphore)
{
	fiber_may_stop();
	++*units_of(semaphore);
	if (freedom.leases) /* a round has an end to come */
		fiber_may_stop();
	return 0;
}

/* In the time that it takes nothing else happens. */
int __wrap_ftruncate64(int fd, off_t len)
{
	fiber_may_stop();
	check_ways(false);
	return __real_ftruncate64(fd, len);
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	uint64_t units;

	if (is_device(fd)) {
		fiber_may_stop();
		return to_libc(device_write(data, len));
	}
	if (!is_event(fd))
		return __real_write(fd, data, len);
	fiber_may_stop();
	memcpy(&units, data, sizeof(units));
	events[fd - EVENT_FD].count += units;
	return sizeof(units);
}

int __wrap_close(int fd)
{
	return kernel_has_fd(fd) || ring_close(fd) ? 0 : __real_close(fd);
}

static bool is_quiet(void *arg)
{
	(void)arg;
	return !ring_has_late_io();
}

/* Only who waits for a dead process's I/O sleeps. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time, (void)left;
	fiber_wait(is_quiet, NULL, false, "waits for I/O that doesn't end");
	return 0;
}

static bool is_unlocked(void *arg)
{
	return !mutexes[*(const int *)arg].held;
}

static int mutex_number(pthread_mutex_t *mutex)
{
	int i = 0;

	while (i < MUTEXES && mutexes[i].mutex && mutexes[i].mutex != mutex)
		i++;
	assert(i < MUTEXES);
	mutexes[i].mutex = mutex;
	return i;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	int i = mutex_number(mutex);

	if (fiber_name())
		fiber_wait(is_unlocked, &i, false, "waits for a mutex that nobody will give back");
	assert(!mutexes[i].held);
	mutexes[i].held = true;
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	mutexes[mutex_number(mutex)].held = false;
	fiber_may_stop();
	return 0;
}

/* One CPU is enough for all. */
int __wrap_cpus_keep_to(uint32_t cpu)
{
	(void)cpu;
	return 0;
}

void __wrap_request_move(struct request *request, enum request_state to)
{
	enum request_state from;

	fiber_may_stop();
	from = request_state(request);
	__real_request_move(request, to);
	moves_seen[from][to]++;
	world_check();
}

int __wrap_op_io_finish(struct op_io *io, struct request *request, int64_t result,
			uint32_t *ret_body_len)
{
	fiber_may_stop();
	return __real_op_io_finish(io, request, result, ret_body_len);
}

const void *__wrap_request_reply(const struct arena *arena, struct request *request, int error,
				 uint32_t body_len)
{
	fiber_may_stop();
	moves_seen[request_state(request)][REQUEST_REPLY]++;
	return __real_request_reply(arena, request, error, body_len);
}

uint32_t __wrap_pool_take(struct pool *pool)
{
	uint32_t index;

	fiber_may_stop();
	index = __real_pool_take(pool);
	fiber_may_stop();
	return index;
}

void __wrap_pool_put(struct pool *pool, uint32_t index)
{
	fiber_may_stop();
	__real_pool_put(pool, index);
	fiber_may_stop();
}
