// SPDX-License-Identifier: LGPL-2.1-or-later
// The leader of a session with a controlling terminal of its own making.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "tests/victims/self.h"

static int master, slave;

static void check(void)
{
	int fd = open("/dev/tty", O_RDWR);

	expect(getsid(0) == getpid(), "it leads no session");
	expect(getpgrp() == getpid(), "it leads no group");
	expect(tcgetsid(slave) == getpid(), "the terminal is of session %d", tcgetsid(slave));
	expect(tcgetpgrp(slave) == getpgrp(), "group %d is in the foreground",
	       tcgetpgrp(slave));
	expect(fd >= 0 && write(fd, "x", 1) == 1, "/dev/tty: %m");
	char c = 0;
	expect(read(master, &c, 1) == 1 && c == 'x', "the terminal has no master");
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	if (getsid(0) != getpid())
		must(setsid());
	self_block();
	master = must(posix_openpt(O_RDWR | O_NOCTTY));
	must(grantpt(master));
	must(unlockpt(master));
	slave = must(open(ptsname(master), O_RDWR | O_NOCTTY));
	must(ioctl(slave, TIOCSCTTY, 0));
	self_run(check);
}
