// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening what an object names, by path or anew by a descriptor that the tool has.
#pragma once

#include "resource/kinds.h"

// Flags of the object that open(2) may get, O_CLOEXEC and O_NOCTTY besides: nothing that makes or empties a file.
struct err *reopen_flags(const json_t *object, int *flags) must_check;
// Opens the member "path" with the object's flags, without waiting, when it is of this type (S_IFREG ...); a symbolic link in
// the last place is not followed. ERR_REFUSED, code file-gone, when there is none, file-changed when it is of another type.
struct err *reopen_path(const json_t *object, mode_t type, int *fd) must_check;
// A new open file description of what `fd` is, with the object's flags.
struct err *reopen_fd(int fd, const json_t *object, int *ret) must_check;
// Puts the object's offset.
struct err *reopen_seek(int fd, const json_t *object) must_check;
