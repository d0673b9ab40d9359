// SPDX-License-Identifier: LGPL-2.1-or-later
// Parts of paths.
#pragma once

#include <string.h>

// The name behind the last slash; NULL for NULL.
static inline const char *path_base(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}
