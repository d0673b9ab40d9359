// SPDX-License-Identifier: LGPL-2.1-or-later
// Going back into an image that an earlier generation left mapped, instead of mapping NEW once more.
#pragma once

#include "update/plan.h"

// The image of an earlier generation that NEW can live in again: the same program, mapped as it was. The newest
// such one; 0 when there is none.
taddr_t homecoming_base(const struct plan *p);

// With p->layout.base at such an image: what there differs from p->image becomes patches. Variables that live
// there stay; those that the running program does not have begin anew. An error: the image cannot be used,
// and nothing but a fresh one will do.
struct err *homecoming_patches(struct plan *p) must_check;

// After the process ran on: takes the bytes that a variable which begins anew has now. False for other patches.
bool homecoming_refresh(struct patch *patch, const uint8_t *now);
