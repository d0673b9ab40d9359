// SPDX-License-Identifier: LGPL-2.1-or-later
// A UNIX connection with a child that is not saved. With the argument "skip" it may be closed: that has to read as such.
#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tests/victims/self.h"

static int pair[2];
static bool may_end;

static void check(void)
{
	char c = 'x';
	ssize_t n = send(pair[0], &c, 1, MSG_NOSIGNAL);

	if (n < 0) {
		expect(may_end && errno == EPIPE, "sending: %s", strerror(errno));
		expect(recv(pair[0], &c, 1, MSG_DONTWAIT) == 0, "a closed one gives no end");
		return;
	}
	expect(recv(pair[0], &c, 1, 0) == 1 && c == 'x', "the child does not answer");
}

static void answer(pid_t parent)
{
	char c;

	setsid(); // a member of its session would keep the parent's id in use
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(pair[0]);
	while (getppid() == parent && read(pair[1], &c, 1) == 1)
		if (write(pair[1], &c, 1) != 1)
			break;
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t self = getpid();

	may_end = argc > 1 && !strcmp(argv[1], "skip");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	if (!must(fork()))
		answer(self);
	close(pair[1]);
	self_run(check);
}
