// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists of system calls that a thread of the process makes in one go, each with what it is for.
#pragma once

#include "process/remote.h"
#include "util/vec.h"

struct call_list {
	VEC(struct syscall_req) reqs;
	VEC(const char *) what; // static; NULL: it may fail
};

struct err *call_list_add(struct call_list *l, const char *what, long nr,
			  const uint64_t args[6]) must_check;
// CALL(&list, "set its name", SYS_prctl, PR_SET_NAME, address): as many arguments as there are.
#define CALL(l, what, nr, ...) call_list_add(l, what, nr, (uint64_t[6]){__VA_ARGS__})

// Makes them in thread `tid`, all of them whatever fails, and empties the list unless `results` is wanted. The first that
// failed and has a `what` is the error: "cannot WHAT of thread TID".
struct err *call_list_run(struct call_list *l, struct remote *r, pid_t tid) must_check;
struct err *call_list_ask(struct call_list *l, struct remote *r, pid_t tid) must_check;
void call_list_deinit(struct call_list *l);

// A copy of something in the memory that both share: its address there.
struct err *remote_put(struct remote *r, const void *data, size_t len, taddr_t *ret)
	must_check;
// Empty room in it.
struct err *remote_room(struct remote *r, size_t len, void **ret) must_check;
