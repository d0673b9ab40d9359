// SPDX-License-Identifier: LGPL-2.1-or-later
// Stacks that no thread is on: coroutines (makecontext, hand-made switches) and jump buffers. They hold return
// addresses of OLD that no walk over the threads meets. Found by their saved contexts, walked like threads and
// judged: such a frame cannot be moved, it goes on in its old body or stands in the way.
#pragma once

#include "process/process.h"
#include "update/judge.h"

struct hidden;

struct err *hidden_create(struct judge *j, struct process *pr, struct hidden **ret)
	must_check;
void hidden_free(struct hidden *h);
void hidden_freep(struct hidden **h);

// What the walks over the threads met; `hidden_forget_walks` before each round of them.
void hidden_forget_walks(struct hidden *h);
struct err *hidden_note_walk(struct hidden *h, const struct thread *t,
			     const struct frames *f) must_check;

// Looks through all writable memory; the process runs. After each thread was walked once.
struct err *hidden_search(struct hidden *h) must_check;

// Judges what was found, as it is now. In the stop memory is looked through again when the program has such
// stacks or may make them. Obstacles are added to `ret`.
struct err *hidden_judge(struct hidden *h, bool stopped, struct verdicts *ret) must_check;

// What may be such a stack and was not taken for one, as notes of the plan.
struct err *hidden_notes(struct hidden *h) must_check;
