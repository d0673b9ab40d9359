// SPDX-License-Identifier: LGPL-2.1-or-later
// What restore_check says to the state of an image: sound, damaged, or asking for rights that the caller does not have.
#include <check.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/kernel.h"
#include "resource/json.h"
#include "resource/threads.h"
#include "util/cleanup.h"

// Nobody's process: no capabilities, all limits 0.
static const char template[] =
	"{'pid': 7, 'ppid': 1, 'pgid': 7, 'sid': 7, 'umask': 18, 'oom_score_adj': 0,"
	" 'cwd': '/', 'root': '/', 'dumpable': 1, 'thp_disable': 0, 'mdwe': 0,"
	" 'child_subreaper': false, 'memory_merge': false,"
	" 'limits': {'cpu': [0,0], 'fsize': [0,0], 'data': [0,0], 'stack': [0,0],"
	"  'core': [0,0], 'rss': [0,0], 'nproc': [0,0], 'nofile': [0,0], 'memlock': "
	"[0,0],"
	"  'as': [0,0], 'locks': [0,0], 'sigpending': [0,0], 'msgqueue': [0,0],"
	"  'nice': [0,0], 'rtprio': [0,0], 'rttime': [0,0]},"
	" 'signals': {'handlers': [{'signal': 2, 'handler': '0x1', 'flags': '0x0',"
	"  'restorer': '0x0', 'mask': '0x0'}]},"
	" 'timers': {'real': {'left': 5, 'interval': 0}, 'posix': [{'id': 3, 'clock': 1,"
	"  'notify': 4, 'signal': 34, 'value': '0x0', 'thread': 7, 'left': 1,"
	"  'interval': 1}]},"
	" 'threads': [{'tid': 7, 'comm': 'x', 'sigmask': '0x0', 'xstate': 'AAAA',"
	"  'altstack': {'address': 4096, 'size': 4096, 'autodisarm': false},"
	"  'tid_address': 4096, 'robust': {'address': 4096, 'size': 24},"
	"  'rseq': {'address': 4096, 'size': 32, 'signature': 1}, 'timer_slack': 50000,"
	"  'personality': 0, 'pdeathsig': 0, 'sched': {'policy': 0, 'reset_on_fork': "
	"false,"
	"   'nice': 0, 'priority': 0, 'cpus': [0]},"
	"  'credentials': {'uid': {'real': 1, 'effective': 1, 'saved': 1, 'fs': 1},"
	"   'gid': {'real': 1, 'effective': 1, 'saved': 1, 'fs': 1}, 'groups': [],"
	"   'capabilities': {'inheritable': '0x0', 'permitted': '0x0', 'effective': "
	"'0x0',"
	"    'bounding': '0x0', 'ambient': '0x0'}, 'securebits': 0, 'no_new_privs': true,"
	"   'seccomp': [{'log': false, 'filter': 'BgAAAAAA/38='}]}}]}";

static json_t *sound(void)
{
	char *text = strdup(template);
	json_error_t why;

	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	json_t *state = json_loads(text, 0, &why);
	ck_assert_msg(state, "%s", why.text);
	free(text);
	struct user_regs_struct regs = {
		.cs = 0x33, .ss = 0x2b, .rip = 4096, .orig_rax = -1UL};
	json_t *thread = json_array_get(json_object_get(state, "threads"), 0);
	ck_assert_ptr_null(json_put_bytes(thread, "regs", &regs, sizeof(regs)));
	return state;
}

static struct err *check_state(const json_t *state)
{
	struct restoring all = {0};
	struct err *e = restore_check(&all, state);

	vec_for_each(n, &all.notes)
		free(*n);
	vec_free(&all.notes);
	return e;
}

static json_t *bad_value(int i)
{
	switch (i) {
	case 0:
		return json_null();
	case 1:
		return json_integer(-2147483649);
	case 2:
		return json_integer(INT64_MAX);
	case 3:
		return json_string("\x7f");
	case 4:
		return json_array();
	case 5:
		return json_object();
	default:
		return json_stringn("a\0b", 3);
	}
}

enum { BAD_VALUES = 7 };

static size_t tried, refused;

static void try_bad(const json_t *state)
{
	struct err *e = check_state(state);

	tried++;
	if (!e)
		return;
	refused++;
	ck_assert_msg(e->kind == ERR_CORRUPT || e->kind == ERR_REFUSED, "%s", e->message);
	err_free(e);
}

static void damage(const json_t *state, json_t *at)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(at, next, name, value)
	{
		json_t *good = json_incref(value);

		for (int i = 0; i < BAD_VALUES; i++) {
			json_object_set_new(at, name, bad_value(i));
			try_bad(state);
		}
		json_object_set_new(at, name, good);
		damage(state, good);
	}
	for (size_t k = 0; k < json_array_size(at); k++) {
		json_t *good = json_incref(json_array_get(at, k));

		for (int i = 0; i < BAD_VALUES; i++) {
			json_array_set_new(at, k, bad_value(i));
			try_bad(state);
		}
		json_array_set_new(at, k, good);
		damage(state, good);
	}
}

START_TEST(damaged)
{
	json_t *state = sound();
	struct err *e = check_state(state);

	if (getuid() == 0)
		ck_assert_msg(!e, "%s", e ? e->message : "");
	err_free(e);
	damage(state, state);
	// What is optional may be null, and some values are as good as others.
	ck_assert_uint_gt(tried, 700);
	ck_assert_uint_gt(refused, tried * 8 / 10);
	json_decref(state);
}
END_TEST

// In a child that has become nobody: what it may not have is refused by name.
static int as_nobody(json_t *state, const char *object)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (getuid() == 0 &&
		    (setgroups(0, NULL) || setresgid(1, 1, 1) || setresuid(1, 1, 1)))
			_exit(1);
		struct err *e = check_state(state);
		if (!e)
			_exit(object ? 2 : 0);
		if (!object || e->kind != ERR_REFUSED || strcmp(e->code, "privilege") != 0)
			_exit(3);
		_exit(strcmp(e->object, object) ? 4 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static json_t *credentials_of(json_t *state)
{
	json_t *thread = json_array_get(json_object_get(state, "threads"), 0);

	return json_object_get(thread, "credentials");
}

// A process like the caller's own needs no right.
static json_t *like_nobody(void)
{
	json_t *state = sound(), *c = credentials_of(state);
	json_t *caps = json_object_get(c, "capabilities");
	uint64_t bounding = 0;

	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1)
			bounding |= 1ULL << cap;
	ck_assert_ptr_null(json_put_mask(caps, "bounding", bounding));
	json_object_del(c, "seccomp");
	return state;
}

START_TEST(rights)
{
	static const struct {
		const char *in, *member, *value, *object;
	} cases[] = {
		{NULL, NULL, NULL, NULL},
		{"uid", "effective", "0", "uid 0"},
		{"uid", "fs", "33", "uid 33"},
		{"gid", "saved", "12", "gid 12"},
		{NULL, "groups", "[27]", "group 27"},
		{"capabilities", "permitted", "'0x1000'", "CAP_NET_ADMIN"},
		{"capabilities", "ambient", "'0x400'", "CAP_NET_BIND_SERVICE"},
		{"capabilities", "bounding", "'0x0'", "CAP_SETPCAP"},
		{"capabilities", "bounding", "'0x8000000000000000'", "capability 63"},
		{NULL, "securebits", "1", "CAP_SETPCAP"},
		{NULL, "seccomp", "'strict'", "CAP_SYS_ADMIN"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *state = like_nobody(), *at = credentials_of(state);
		char text[32] = "";

		if (cases[i].in)
			at = json_object_get(at, cases[i].in);
		if (cases[i].member) {
			strncpy(text, cases[i].value, sizeof(text) - 1);
			for (char *c = text; *c; c++)
				if (*c == '\'')
					*c = '"';
			json_object_set_new(at, cases[i].member,
					    json_loads(text, JSON_DECODE_ANY, NULL));
		}
		int r = as_nobody(state, cases[i].object);
		ck_assert_msg(!r, "case %zu (%s): %d", i,
			      cases[i].object ? cases[i].object : "none", r);
		json_decref(state);
	}
}
END_TEST

START_TEST(limits)
{
	json_t *state = like_nobody();
	json_t *pair = json_array_get(json_object_get(state, "limits"), 0);

	pair = json_object_get(json_object_get(state, "limits"), "msgqueue");
	json_array_set_new(pair, 1, json_integer(INT64_MAX));
	ck_assert_int_eq(as_nobody(state, "msgqueue"), 0);
	json_decref(state);
}
END_TEST

START_TEST(restarts)
{
	struct user_regs_struct regs = {.cs = 0x33,
					.ss = 0x2b,
					.rax = -(unsigned long)UAPI_ERESTART_RESTARTBLOCK,
					.orig_rax = 219,
					.rdi = 1,
					.rdx = 10,
					.r10 = 20};
	json_t *t = json_object();

	ck_assert_ptr_null(json_put_bytes(t, "regs", &regs, sizeof(regs)));
	ck_assert_ptr_null(thread_registers(t, &regs));
	ck_assert_int_eq((long)regs.rax, -4); // EINTR: nobody knows the call
	ck_assert_int_eq((long)regs.orig_rax, -1);
	ck_assert_ptr_null(json_put_int(t, "restart", 230));
	ck_assert_ptr_null(thread_registers(t, &regs));
	ck_assert_int_eq((long)regs.rax, -UAPI_ERESTARTNOHAND);
	ck_assert_int_eq(regs.orig_rax, 230);
	ck_assert_int_eq(regs.rdx, 20); // the time left
	ck_assert_ptr_null(json_put_int(t, "restart", 1));
	struct err *e = thread_registers(t, &regs);
	ck_assert(e && e->kind == ERR_CORRUPT);
	err_free(e);
	json_decref(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("state");
	TCase *c = tcase_create("all");

	tcase_add_test(c, damaged);
	tcase_add_test(c, rights);
	tcase_add_test(c, limits);
	tcase_add_test(c, restarts);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
