// SPDX-License-Identifier: GPL-2.0-or-later
// molt rm and molt prune: removing checkpoints.
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/stored.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"

enum { OPT_STORE = OPT_VERB, OPT_KEEP, OPT_OLDER_THAN, OPT_DRY_RUN };

struct arguments {
	const char *store;
	bool json, dry_run;
	long keep;	   // -1: not given
	uint64_t older_ns; // 0: any age
};

static int report(const struct verb *verb, const struct arguments *a, json_t *removed,
		  struct err *e)
{
	const json_t *id;
	size_t i;

	if (a->json && e)
		return cmd_fail_with(verb, e, true,
				     json_pack("{s:o}", "removed", removed));
	if (a->json) {
		json_t *o = cmd_json(verb);

		json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
		json_object_set_new(o, "removed", removed);
		return cmd_print_json(o, DONE);
	}
	json_array_foreach(removed, i, id) printf(
		"%s %s\n", a->dry_run ? "would remove" : "removed", json_string_value(id));
	json_decref(removed);
	return e ? cmd_fail(verb, e, false) : DONE;
}

// By path too: then it is that path's store.
static struct err *remove_one(const char *store, const char *which, json_t *removed)
{
	_cleanup_(store_closep) struct store *s = NULL;
	_cleanup_free_ char *named = NULL, *path = NULL, *id = NULL;

	TRY(store_resolve(store, which, &path, &named));
	TRY(store_open(path, false, &s));
	TRY(store_remove(s, named, &id));
	return json_array_append_new(removed, json_string(id)) ? err_nomem() : NULL;
}

static int run_rm(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS, {"store", required_argument, NULL, OPT_STORE}, {}};
	struct arguments a = {};
	struct err *e = NULL;

	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			a.json = true;
			break;
		case OPT_STORE:
			a.store = optarg;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (optind == argc)
		return cmd_usage(verb, "it needs the id, name or path of a checkpoint");
	json_t *removed = json_array();
	for (; optind < argc && !e; optind++)
		e = remove_one(a.store, argv[optind], removed);
	return report(verb, &a, removed, e);
}

// Marks those that others, which stay, build on.
static void keep_parents(const struct stored_list *all, bool *keep)
{
	for (size_t i = all->v.n; i--;) {
		const char *parent = json_string_value(
			json_object_get(all->v.v[i].manifest, "parent"));

		for (size_t k = 0; keep[i] && parent && k < i; k++)
			if (strcmp(all->v.v[k].id, parent) == 0)
				keep[k] = true;
	}
}

static bool is_young(const struct stored *one, uint64_t older_ns)
{
	const uint64_t second = 1000000000;
	struct timespec now;
	int64_t when = json_integer_value(json_object_get(one->manifest, "time"));

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t at = (uint64_t)now.tv_sec * second + (uint64_t)now.tv_nsec;
	// One from the future is no reason to remove anything.
	return when < 0 || (uint64_t)when > at || at - (uint64_t)when < older_ns;
}

static struct err *prune(const struct arguments *a, json_t *removed)
{
	_cleanup_(stored_list_deinit) struct stored_list all = {};
	_cleanup_(store_closep) struct store *s = NULL;
	_cleanup_free_ bool *keep = NULL;

	TRY(store_open(a->store, false, &s));
	TRY(store_list(s, &all));
	if (!(keep = calloc(all.v.n + 1, sizeof(*keep))))
		return err_nomem();
	// What cannot be read is left to the user, and does not count.
	for (size_t i = all.v.n, kept = 0; i--;) {
		const struct stored *one = &all.v.v[i];

		keep[i] = one->broken || (a->keep >= 0 && kept < (size_t)a->keep) ||
			  (a->older_ns && is_young(one, a->older_ns));
		kept += !one->broken;
	}
	keep_parents(&all, keep);
	for (size_t i = all.v.n; i--;) { // children first
		if (keep[i])
			continue;
		if (!a->dry_run)
			TRY(store_remove(s, all.v.v[i].id, NULL));
		if (json_array_append_new(removed, json_string(all.v.v[i].id)))
			return err_nomem();
	}
	return NULL;
}

static struct err *parse_keep(const char *text, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	return errno || end == text || *end || *ret < 0
		       ? err_new(ERR_USAGE, "--keep %s is no number of checkpoints", text)
		       : NULL;
}

// 30s, 5m, 12h, 7d, 2w; without a unit, seconds.
static struct err *parse_age(const char *text, uint64_t *ns)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'\0', 1},	  {'s', 1},	{'m', 60},
		     {'h', 3600}, {'d', 86400}, {'w', 604800}};
	const uint64_t second = 1000000000;
	char *end;

	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units) && *text != '-' && end != text && !errno;
	     i++)
		if (*end == units[i].unit && (!*end || !end[1]) &&
		    !__builtin_mul_overflow(n, units[i].seconds * second, ns) && *ns)
			return NULL;
	return err_new(ERR_USAGE, "'%s' is no age: 30s, 5m, 12h, 7d or 2w", text);
}

static int run_prune(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"store", required_argument, NULL, OPT_STORE},
		{"keep", required_argument, NULL, OPT_KEEP},
		{"older-than", required_argument, NULL, OPT_OLDER_THAN},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN},
		{}};
	struct arguments a = {.keep = -1};
	struct err *e = NULL;

	for (int o; !e && (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			a.json = true;
			break;
		case OPT_STORE:
			a.store = optarg;
			break;
		case OPT_KEEP:
			e = parse_keep(optarg, &a.keep);
			break;
		case OPT_OLDER_THAN:
			e = parse_age(optarg, &a.older_ns);
			break;
		case OPT_DRY_RUN:
			a.dry_run = true;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (e)
		return cmd_fail(verb, e, a.json);
	if (optind != argc || (a.keep < 0 && !a.older_ns))
		return cmd_usage(verb, optind != argc
					       ? "it takes no argument"
					       : "it needs --keep or --older-than");
	json_t *removed = json_array();
	return report(verb, &a, removed, prune(&a, removed));
}

const struct verb verb_rm = {
	.name = "rm",
	.summary = "Removes checkpoints",
	.synopsis = "[--store DIR] [--json] CKPT...",
	.help = "CKPT is an id, a name or a path. One that others build on is "
		"refused.\n\n"
		"      --store DIR  the store; otherwise $MOLT_STORE or the default\n"
		"      --json       one JSON object\n"
		"  -h, --help       this text\n",
	.run = run_rm,
	.acts = true,
};

const struct verb verb_prune = {
	.name = "prune",
	.summary = "Removes old checkpoints",
	.synopsis = "[--store DIR] [--keep N] [--older-than AGE] [--dry-run] [--json]",
	.help = "Those that kept ones build on stay, and those that cannot be read.\n\n"
		"      --keep N         the N newest stay\n"
		"      --older-than AGE younger ones stay: 30s, 5m, 12h, 7d, 2w\n"
		"      --dry-run        only say which would go\n"
		"      --store DIR      the store; otherwise $MOLT_STORE or the default\n"
		"      --json           one JSON object\n"
		"  -h, --help           this text\n",
	.run = run_prune,
	.acts = true,
};
