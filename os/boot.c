// SPDX-License-Identifier: LGPL-2.1-or-later
// Which boot of the machine this is; see boot.h.
#include "os/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int os_boot_id(char ret[BOOT_ID_SIZE])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, BOOT_ID_SIZE - 1);
	int r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	ret[n < 0 ? 0 : n] = 0;
	ret[strcspn(ret, "\n")] = 0;
	return r;
}
