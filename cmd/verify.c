// SPDX-License-Identifier: GPL-2.0-or-later
// molt verify: whether checkpoints are as they were written.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/stored.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"

enum { OPT_STORE = OPT_VERB, OPT_ALL };

// Opening the cores checks headers and notes, which a hash alone does not: whoever writes an image can write hashes.
static struct err *verify_one(const char *store, const char *which)
{
	struct checkpoint c;

	TRY(checkpoint_open(store, which, true, &c));
	struct err *e = checkpoint_verify(&c, false);
	_cleanup_free_ char *path = e ? NULL : strdup(c.path);
	checkpoint_deinit(&c);
	if (e || !path)
		return e ? e : err_nomem();
	e = checkpoint_open(NULL, path, false, &c);
	if (!e)
		checkpoint_deinit(&c);
	return e;
}

struct results {
	json_t *rows;
	int code;
	bool json;
};

static void add(struct results *r, const char *which, struct err *e)
{
	int code = e ? exit_code_of(e->kind) : DONE;

	if (!r->json && !e)
		printf("%s: good\n", shown(which));
	else if (!r->json)
		fprintf(stderr, "molt: %s%s%s%s\n", shown(e->message),
			e->code ? " [" : "", e->code ? e->code : "", e->code ? "]" : "");
	if (!r->json && e && e->code)
		fprintf(stderr, "molt: 'molt explain %s' says what to do\n", e->code);
	json_array_append_new(r->rows,
			      json_pack("{s:o, s:b, s:o, s:o, s:o}", "id",
					cmd_json_string(which), "good", !e, "code",
					cmd_json_string(e ? e->code : NULL), "reason",
					cmd_json_string(e ? e->message : NULL), "object",
					cmd_json_string(e ? e->object : NULL)));
	if (code == INPUT_CORRUPT || r->code == DONE)
		r->code = code;
	err_free(e);
}

static int finish(const struct verb *verb, struct results *r)
{
	json_t *o = cmd_json(verb);

	if (!r->json) {
		json_decref(o);
		json_decref(r->rows);
		return r->code;
	}
	json_object_set_new(o, "verdict", json_string(verdict_of(r->code)));
	json_object_set_new(o, "checkpoints", r->rows);
	return cmd_print_json(o, r->code);
}

static int verify_all(const struct verb *verb, const char *path, struct results *r)
{
	_cleanup_(stored_list_deinit) struct stored_list all = {};
	_cleanup_(store_closep) struct store *s = NULL;
	struct err *e = store_open(path, false, &s);

	if (!e)
		e = store_list(s, &all);
	if (e) {
		json_decref(r->rows);
		return cmd_fail(verb, e, r->json);
	}
	vec_for_each(one, &all.v)
		add(r, one->id, verify_one(NULL, one->path));
	return finish(verb, r);
}

static int run_verify(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"store", required_argument, NULL, OPT_STORE},
		{"all", no_argument, NULL, OPT_ALL},
		{}};
	const char *store = NULL;
	struct results r = {};
	bool all = false;

	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			r.json = true;
			break;
		case OPT_STORE:
			store = optarg;
			break;
		case OPT_ALL:
			all = true;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if ((optind == argc) != all)
		return cmd_usage(verb, all ? "--all takes no checkpoint"
					   : "it needs a checkpoint, or --all");
	r.rows = json_array();
	if (all)
		return verify_all(verb, store, &r);
	for (; optind < argc; optind++)
		add(&r, argv[optind], verify_one(store, argv[optind]));
	return finish(verb, &r);
}

const struct verb verb_verify = {
	.name = "verify",
	.summary = "Checks that checkpoints are as they were written",
	.synopsis = "[--store DIR] [--json] CKPT...|--all",
	.help = "Reads every byte of each, of those it builds on and of the programs and "
		"libraries that\nit needs, and compares with the hashes that were "
		"written "
		"with them.\n\n"
		"      --all        all of the store\n"
		"      --store DIR  the store; otherwise $MOLT_STORE or the default\n"
		"      --json       one JSON object\n"
		"  -h, --help       this text\n",
	.run = run_verify,
};
