/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The launcher: which exit code it comes back with, and what the forked child is. */
#include "host/launcher.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit-code.h"
#include "base/log.h"
#include "test.h"

static unsigned lines;

void log_message(enum log_level level, const char *format, ...)
{
	(void)level, (void)format;
	lines++;
}

static void reap_child(void)
{
	int status;

	CHECK(waitpid(-1, &status, 0) > 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void hands_on_what_it_is_told(void)
{
	static const int codes[] = { EXIT_FINE, EXIT_CANNOT_SERVE, EXIT_UNSAFE };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int fd = -1, code = -1;
		int r = launcher_fork(&fd, &code);

		if (r == 0) {
			if (getsid(0) != getpid())
				_exit(1);
			launcher_tell(&fd, codes[i]);
			launcher_tell(&fd, EXIT_USAGE); /* only the first one counts */
			_exit(fd == -1 ? 0 : 1);
		}
		CHECK_EQ(r, 1);
		CHECK_EQ(code, codes[i]);
		CHECK_EQ(fd, -1);
		reap_child();
	}
	CHECK_EQ(lines, 0u);
}

static void sees_a_child_die(void)
{
	int fd = -1, code = -1;
	int r = launcher_fork(&fd, &code);

	if (r == 0)
		_exit(0);
	CHECK_EQ(r, 1);
	CHECK_EQ(code, EXIT_CANNOT_SERVE);
	CHECK_EQ(lines, 1u);
	reap_child();
}

/* It has no need of the code: the daemon goes on. */
static void may_be_gone(void)
{
	int fds[2];

	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	CHECK(pipe(fds) == 0);
	CHECK(close(fds[0]) == 0);
	launcher_tell(&fds[1], EXIT_FINE);
	CHECK_EQ(fds[1], -1);
}

int main(void)
{
	RUN(hands_on_what_it_is_told);
	RUN(sees_a_child_die);
	RUN(may_be_gone);
	return test_result();
}
