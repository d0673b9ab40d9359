// SPDX-License-Identifier: LGPL-2.1-or-later
// One word, shared by the tool and several targets, that decides the commits in all of them by one store.
#pragma once

#include "process/helper.h"

#define DECISION_NAME "molt:decision"

struct decision {
	int fd;
	uint32_t *word; // the tool's mapping
};

struct err *decision_create(struct decision **ret) must_check;
// Into a target: a page of its own, unmapped with helper_munmap.
struct err *decision_map(const struct decision *d, struct helper *h, taddr_t *ret)
	must_check;
// Every page of this kind in a target.
struct err *decision_unmap(const struct process *p, struct helper *h) must_check;
void decision_free(struct decision *d);
void decision_freep(struct decision **d);
