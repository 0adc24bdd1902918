/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ublk-server FILE: a disk of ublk's, /dev/ublkb0, from a file. As plain as a server of ublk's can
 * be: one thread, and nothing of what caisson does against reclaim. Prints a line when the disk is
 * there. Ends when the kernel aborts its requests.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/ublk_cmd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH	     8u
#define BUFFER_BYTES 65536u
#define SECTOR_SHIFT 9
#define STARTED	     UINT64_MAX /* user data; otherwise a tag */

/* Linux 6.4 has the commands in this form, and newer ones may know no other. */
#define CONTROL(command) _IOWR('u', command, struct ublksrv_ctrl_cmd)
#define IO(command)	 _IOWR('u', command, struct ublksrv_io_cmd)

static struct io_uring ring;
static int control_fd, device_fd, file_fd;
static struct ublksrv_ctrl_dev_info info = {
	.nr_hw_queues = 1,
	.queue_depth = DEPTH,
	.max_io_buf_bytes = BUFFER_BYTES,
};
static const struct ublksrv_io_desc *requests;
static unsigned char *buffers;

static struct io_uring_sqe *command(int fd, uint32_t number, uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		errx(1, "the ring is full");
	memset(sqe, 0, 2 * sizeof(*sqe)); /* IORING_SETUP_SQE128 */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = number;
	sqe->user_data = user_data;
	return sqe;
}

static void prepare_control(uint32_t number, void *arg, uint16_t len, uint64_t data)
{
	struct ublksrv_ctrl_cmd cmd = {
		.dev_id = info.dev_id,
		.queue_id = UINT16_MAX,
		.addr = (uintptr_t)arg,
		.len = len,
		.data = { data },
	};

	memcpy(command(control_fd, number, STARTED)->cmd, &cmd, sizeof(cmd));
}

static void control(const char *what, uint32_t number, void *arg, uint16_t len)
{
	struct io_uring_cqe *cqe;

	prepare_control(number, arg, len, 0);
	if (io_uring_submit_and_wait(&ring, 1) < 1 || io_uring_peek_cqe(&ring, &cqe) < 0)
		errx(1, "%s: no answer", what);
	if (cqe->res < 0)
		errx(1, "%s: %s", what, strerror(-cqe->res));
	io_uring_cqe_seen(&ring, cqe);
}

/* NUMBER: to fetch a request, or also to tell the RESULT of the last one. */
static void fetch(uint32_t number, uint16_t tag, int32_t result)
{
	struct ublksrv_io_cmd cmd = {
		.tag = tag,
		.result = result,
		.addr = (uintptr_t)buffers + tag * BUFFER_BYTES,
	};

	memcpy(command(device_fd, number, tag)->cmd, &cmd, sizeof(cmd));
}

/* Returns the bytes moved, or -errno. */
static int32_t serve(uint16_t tag)
{
	const struct ublksrv_io_desc *request = &requests[tag];
	unsigned char *buffer = buffers + tag * BUFFER_BYTES;
	size_t len = (size_t)request->nr_sectors << SECTOR_SHIFT;
	off_t off = (off_t)(request->start_sector << SECTOR_SHIFT);
	ssize_t n;

	switch (ublksrv_get_op(request)) {
	case UBLK_IO_OP_READ:
		n = pread(file_fd, buffer, len, off);
		break;
	case UBLK_IO_OP_WRITE:
		n = pwrite(file_fd, buffer, len, off);
		break;
	case UBLK_IO_OP_FLUSH:
		n = fdatasync(file_fd);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return n < 0 ? -errno : (int32_t)n;
}

static void make(const char *path)
{
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = { .attrs = UBLK_ATTR_VOLATILE_CACHE,
			   .logical_bs_shift = 9,
			   .physical_bs_shift = 12,
			   .io_opt_shift = 12,
			   .io_min_shift = 9,
			   .max_sectors = BUFFER_BYTES >> SECTOR_SHIFT },
	};
	struct io_uring_params setup = { .flags = IORING_SETUP_SQE128 };
	struct stat st;
	int r;

	file_fd = open(path, O_RDWR | O_CLOEXEC);
	if (file_fd < 0 || fstat(file_fd, &st) < 0)
		err(1, "%s", path);
	params.basic.dev_sectors = (uint64_t)st.st_size >> SECTOR_SHIFT;
	control_fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (control_fd < 0)
		err(1, "/dev/ublk-control");
	r = io_uring_queue_init_params(2 * DEPTH, &ring, &setup);
	if (r < 0)
		errx(1, "io_uring: %s", strerror(-r));
	control("add the device", CONTROL(UBLK_CMD_ADD_DEV), &info, sizeof(info));
	control("set its size", CONTROL(UBLK_CMD_SET_PARAMS), &params, sizeof(params));
	device_fd = open("/dev/ublkc0", O_RDWR | O_CLOEXEC);
	if (device_fd < 0)
		err(1, "/dev/ublkc0");
	requests = mmap(NULL, DEPTH * sizeof(*requests), PROT_READ, MAP_SHARED, device_fd, 0);
	buffers = aligned_alloc(4096, (size_t)DEPTH * BUFFER_BYTES);
	if (requests == MAP_FAILED || !buffers)
		err(1, "memory");
}

int main(int argc, char **argv)
{
	unsigned left = DEPTH;

	if (argc != 2)
		errx(2, "usage: ublk-server FILE");
	make(argv[1]);
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		fetch(IO(UBLK_IO_FETCH_REQ), tag, 0);
	if (io_uring_submit(&ring) < 0)
		errx(1, "fetch");
	/* its end needs requests to be served: the kernel looks for partitions */
	prepare_control(CONTROL(UBLK_CMD_START_DEV), NULL, 0, (uint64_t)getpid());
	while (left > 0) {
		struct io_uring_cqe *cqe;
		uint64_t user_data;
		int32_t res;

		if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe) < 0)
			continue; /* a signal */
		user_data = cqe->user_data;
		res = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
		if (user_data == STARTED) {
			if (res < 0)
				errx(1, "start: %s", strerror(-res));
			puts("ublk-server: serving /dev/ublkb0");
			(void)fflush(stdout);
		} else if (res != UBLK_IO_RES_OK) {
			left--;
		} else {
			fetch(IO(UBLK_IO_COMMIT_AND_FETCH_REQ), (uint16_t)user_data,
			      serve((uint16_t)user_data));
		}
	}
	return 0;
}
