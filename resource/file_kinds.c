// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of kinds of open file description.
#include <stdio.h>
#include <string.h>

#include "resource/files.h"

// The order decides where several recognise a file; the last one takes everything.
static const struct file_kind *const kinds[] = {
	&kind_path,	   &kind_proc,	     &kind_memfd,	 &kind_regular,
	&kind_directory,   &kind_terminal,   &kind_device,	 &kind_pipe,
	&kind_eventfd,	   &kind_epoll,	     &kind_timerfd,	 &kind_signalfd,
	&kind_inotify,	   &kind_pidfd,	     &kind_tcp,		 &kind_udp,
	&kind_unix,	   &kind_netlink,    &kind_other_socket, &kind_io_uring,
	&kind_userfaultfd, &kind_perf_event, &kind_bpf,		 &kind_kvm,
	&kind_fanotify,	   &kind_other,
};

const struct file_kind *file_kind_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

const struct file_kind *file_kind_of(const struct open_file *f)
{
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(kinds) && !kinds[i]->recognises(f))
		i++;
	return kinds[i];
}

bool saving_skips(const struct saving *all, const char *kind)
{
	for (size_t i = 0; i < all->opt->n_skip; i++)
		if (!strcmp(all->opt->skip[i], kind))
			return true;
	return false;
}

struct err *file_kinds_check_skipped(const struct save_options *opt)
{
	char known[512] = "";

	for (size_t i = 0; i < opt->n_skip; i++) {
		if (file_kind_named(opt->skip[i]))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			size_t n = strlen(known);
			snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
				 kinds[k]->name);
		}
		return err_new(ERR_USAGE,
			       "there is no kind of descriptor '%s' to skip (kinds: %s)",
			       opt->skip[i], known);
	}
	return NULL;
}
