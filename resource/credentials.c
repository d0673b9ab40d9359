// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving the credentials of a thread, and reading them from an image.
#include "resource/credentials.h"

#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "resource/json.h"
#include "resource/threads.h"
#include "util/cleanup.h"

enum { GROUPS_MAX = 65536, FILTERS_MAX = 256, SECUREBITS_MAX = 0xfff };

static struct err *put_ids(json_t *out, const char *name, const uint32_t *ids)
{
	json_t *o;

	TRY(json_put_object(out, name, &o));
	for (size_t i = 0; i < ID_KINDS; i++)
		TRY(json_put_int(o, id_names[i], ids[i]));
	return NULL;
}

static struct err *put_credentials(const struct thread *t, const struct thread_status *s,
				   int64_t securebits, json_t *out)
{
	json_t *list;

	TRY(put_ids(out, "uid", s->uid));
	TRY(put_ids(out, "gid", s->gid));
	TRY(json_put_array(out, "groups", &list));
	vec_for_each(g, &s->groups)
		TRY(json_add(list, json_integer(*g)));
	TRY(json_put_object(out, "capabilities", &list));
	for (size_t i = 0; i < CAPS_SETS; i++)
		TRY(json_put_mask(list, caps_names[i], s->caps[i]));
	TRY(json_put_int(out, "securebits", securebits));
	TRY(json_put_bool(out, "no_new_privs", s->no_new_privs));
	if (s->seccomp == SECCOMP_MODE_STRICT)
		return json_put(out, "seccomp", json_string("strict"));
	return s->seccomp ? save_seccomp(t, out) : NULL;
}

struct err *save_thread_credentials(struct saver *s, const struct thread *t,
				    const struct thread_status *status,
				    int64_t securebits, json_t *out)
{
	const json_t *threads = json_object_get(s->state, "threads");
	const json_t *first = json_object_get(json_array_get(threads, 0), "credentials");
	json_t *own = json_object();

	if (!own)
		return err_nomem();
	struct err *e = put_credentials(t, status, securebits, own);
	if (e || (first && json_equal(first, own))) {
		json_decref(own);
		return e;
	}
	return json_put(out, "credentials", own);
}

// They are saved with the threads, in one go with what else is asked of them.
struct err *save_credentials(struct saver *s)
{
	size_t n;

	return threads_count(s->state, &n);
}

static struct err *get_ids(const json_t *o, const char *name, uint32_t *ids)
{
	const json_t *set;
	int64_t v;

	TRY(json_get_object(o, name, &set));
	for (size_t i = 0; i < ID_KINDS; i++) {
		TRY(err_wrap(json_get_int(set, id_names[i], 0, UINT32_MAX - 1, &v), "%s",
			     name));
		ids[i] = (uint32_t)v;
	}
	return NULL;
}

static struct err *get_sets(const json_t *o, struct credentials *ret)
{
	const json_t *groups, *caps;
	int64_t v;

	TRY(json_get_array(o, "groups", GROUPS_MAX, &groups));
	for (size_t i = 0; i < json_array_size(groups); i++) {
		TRY(json_at(json_item_int(groups, i, 0, UINT32_MAX - 1, &v), "groups", i));
		TRY(vec_push(&ret->groups, (uint32_t)v));
	}
	TRY(json_get_object(o, "capabilities", &caps));
	for (size_t i = 0; i < CAPS_SETS; i++)
		TRY(json_get_mask(caps, caps_names[i], &ret->caps[i]));
	return NULL;
}

static struct err *get_seccomp(const json_t *o, struct credentials *ret)
{
	const char *strict;

	if (!json_is_string(json_object_get(o, "seccomp")))
		return json_opt_array(o, "seccomp", FILTERS_MAX, &ret->seccomp);
	TRY(json_get_string(o, "seccomp", &strict));
	ret->strict = !strcmp(strict, "strict");
	return ret->strict ? NULL
			   : err_new(ERR_CORRUPT, "member 'seccomp' is '%s'", strict);
}

struct err *credentials_read(const json_t *state, size_t i, struct credentials *ret)
{
	const json_t *thread, *own;
	pid_t tid;
	int bits;

	memset(ret, 0, sizeof(*ret));
	TRY(thread_at(state, i, &thread, &tid));
	TRY(json_opt_object(thread, "credentials", &own));
	if (!own) {
		TRY(thread_at(state, 0, &thread, &tid));
		TRY(json_get_object(thread, "credentials", &own));
	}
	TRY(get_ids(own, "uid", ret->uid));
	TRY(get_ids(own, "gid", ret->gid));
	TRY(get_sets(own, ret));
	TRY(json_get_i32(own, "securebits", 0, SECUREBITS_MAX, &bits));
	ret->securebits = (uint32_t)bits;
	TRY(json_get_bool(own, "no_new_privs", &ret->no_new_privs));
	return get_seccomp(own, ret);
}

void credentials_deinit(struct credentials *c)
{
	vec_free(&c->groups);
}
