// SPDX-License-Identifier: LGPL-2.1-or-later
// Kinds that cannot be saved: each is named, so that --skip can leave it out.
#include <string.h>

#include "resource/kinds.h"

static bool is_anonymous(const struct open_file *f, const char *prefix)
{
	return !strncmp(f->path, "anon_inode:", strlen("anon_inode:")) &&
	       !strncmp(f->path + strlen("anon_inode:"), prefix, strlen(prefix));
}

static struct err *refuse(const struct open_file *f, const char *why)
{
	return open_file_refuse(f, "unsaved-descriptor", "%s", why);
}

#define NEVER_SAVED(id, kind_name, prefix, why)                            \
	static bool id##_recognises(const struct open_file *f)             \
	{                                                                  \
		return is_anonymous(f, prefix);                            \
	}                                                                  \
	static struct err *id##_save(const struct open_file *f, json_t *o) \
	{                                                                  \
		(void)o;                                                   \
		return refuse(f, why);                                     \
	}                                                                  \
	const struct file_kind kind_##id = {                               \
		.name = kind_name, .recognises = id##_recognises, .save = id##_save}

NEVER_SAVED(io_uring, "io_uring", "[io_uring]",
	    "requests of an io_uring live in the kernel and cannot be read");
NEVER_SAVED(userfaultfd, "userfaultfd", "[userfaultfd]",
	    "page faults that wait for an answer cannot be saved");
NEVER_SAVED(perf_event, "perf_event", "[perf_event]",
	    "a performance counter belongs to the running machine");
NEVER_SAVED(bpf, "bpf", "bpf", "BPF programs and maps live in the kernel");
NEVER_SAVED(kvm, "kvm", "kvm-", "a virtual machine lives in the kernel");
NEVER_SAVED(fanotify, "fanotify", "[fanotify]",
	    "marks and permission requests of fanotify cannot be saved");

static bool other_recognises(const struct open_file *f)
{
	(void)f;
	return true;
}

static struct err *other_save(const struct open_file *f, json_t *o)
{
	(void)o;
	return refuse(f, "molt does not know how to bring it back");
}

const struct file_kind kind_other = {
	.name = "other", .recognises = other_recognises, .save = other_save};
