// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners that clean up when they leave scope: memory and descriptors.
#pragma once

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

// Takes the value out of an owner, so that it is not cleaned up here.
#define take_ptr(p)                       \
	({                                \
		__typeof__(p) taken_ = p; \
		p = NULL;                 \
		taken_;                   \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
