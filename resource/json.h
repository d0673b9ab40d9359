// SPDX-License-Identifier: LGPL-2.1-or-later
// What every file here needs besides resource.h: members of JSON, and remarks for the user.
#pragma once

#include "image/json.h"
#include "resource/resource.h"

// A remark for the user, lower case and without full stop.
struct err *saving_note(struct saving *all, const char *fmt, ...)
	must_check printf_like(2, 3);
struct err *restoring_note(struct restoring *all, const char *fmt, ...)
	must_check printf_like(2, 3);
