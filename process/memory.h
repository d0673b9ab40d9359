// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading and writing a target's memory.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "util/error.h"
#include "util/types.h"

struct mem_range {
	taddr_t addr;
	void *buf;
	size_t len;
};

// Reads all or fails, naming the address. Uses process_vm_readv, and /proc/PID/mem where
// that is denied.
struct err *mem_read(pid_t pid, taddr_t addr, void *buf, size_t len) must_check;
// Many ranges with few system calls (IOV_MAX at a time).
struct err *mem_read_many(pid_t pid, const struct mem_range *r, size_t n) must_check;
struct err *mem_write(pid_t pid, taddr_t addr, const void *buf, size_t len) must_check;
struct err *mem_write_many(pid_t pid, const struct mem_range *r, size_t n) must_check;
// Reads through page protections (/proc/PID/mem).
struct err *mem_peek(pid_t pid, taddr_t addr, void *buf, size_t len) must_check;
// Writes through page protections (/proc/PID/mem, as a debugger): text, read-only data.
struct err *mem_poke(pid_t pid, taddr_t addr, const void *buf, size_t len) must_check;
// A NUL-terminated string of at most max - 1 bytes.
struct err *mem_read_string(pid_t pid, taddr_t addr, char *buf, size_t max) must_check;
