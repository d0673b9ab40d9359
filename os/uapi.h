// SPDX-License-Identifier: LGPL-2.1-or-later
// Kernel interface newer than Debian 12's headers (Linux 6.1), each with the version that
// brought it.
#pragma once

#include <asm/ioctl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>

// Linux 6.7, include/uapi/linux/userfaultfd.h
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

// Linux 6.7, include/uapi/linux/fs.h
struct uapi_pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define UAPI_PAGEMAP_SCAN _IOWR('f', 16, struct uapi_pm_scan_arg)
#define UAPI_PAGE_IS_WRITTEN (1 << 1)
#define UAPI_PAGE_IS_FILE (1 << 2)
#define UAPI_PAGE_IS_PRESENT (1 << 3)
#define UAPI_PAGE_IS_SWAPPED (1 << 4)
#define UAPI_PAGE_IS_PFNZERO (1 << 5)
#define UAPI_PM_SCAN_WP_MATCHING (1 << 0)
#define UAPI_PM_SCAN_CHECK_WPASYNC (1 << 1)

// Linux 6.9, include/uapi/linux/pidfd.h
#define UAPI_PIDFD_THREAD 0200 // O_EXCL

// Linux 6.6, arch/x86/include/uapi/asm/prctl.h
#define UAPI_ARCH_SHSTK_STATUS 0x5005
#define UAPI_ARCH_SHSTK_SHSTK (1ULL << 0)

// linux/capability.h is not included beside sys/capability users; numbers from Linux 5.9.
#define UAPI_CAP_CHECKPOINT_RESTORE 40

// Linux 6.15, include/uapi/linux/prctl.h: timer_create takes the wanted id in *created_timer_id
#define UAPI_PR_TIMER_CREATE_RESTORE_IDS 77

// Linux 6.3, include/uapi/linux/prctl.h
#define UAPI_PR_SET_MDWE 65
#define UAPI_PR_GET_MDWE 66

// Linux 6.4, include/uapi/linux/prctl.h
#define UAPI_PR_SET_MEMORY_MERGE 67
#define UAPI_PR_GET_MEMORY_MERGE 68

// Linux 6.4, include/uapi/linux/ptrace.h
#define UAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
struct uapi_sud_config {
	uint64_t mode, selector, offset, len;
};
// Linux 6.5 and 6.16, include/uapi/asm-generic/socket.h
#define UAPI_SO_PASSPIDFD 76
#define UAPI_SO_PASSRIGHTS 83

struct uapi_uffdio_poison { // 6.6
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};

#define UAPI_UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uapi_uffdio_poison)
