// SPDX-License-Identifier: GPL-2.0-or-later
// molt show for people. Members that other versions of molt saved in another form are left out, never trusted.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cmd/show.h"
#include "cmd/text.h"
#include "image/json.h"
#include "util/cleanup.h"

enum { VALUE_MAX = 200 };

static void print_value(const char *name, const json_t *v)
{
	_cleanup_free_ char *text = NULL;

	if (json_is_string(v)) {
		if (json_string_length(v) <= VALUE_MAX)
			printf(" %s=%s", shown(name), shown(json_string_value(v)));
	} else if (!json_is_null(v) &&
		   (text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY)) &&
		   strlen(text) <= VALUE_MAX) {
		printf(" %s=%s", shown(name), shown(text));
	}
}

// name=value for each member that is short, but those that were printed already.
static void print_members(const json_t *object, const char *const *but)
{
	const char *name;
	const json_t *v;

	json_object_foreach((json_t *)(uintptr_t)object, name, v)
	{
		bool skip = false;

		for (size_t i = 0; but && but[i]; i++)
			skip |= strcmp(but[i], name) == 0;
		if (!skip)
			print_value(name, v);
	}
}

static void print_frame(size_t i, const struct call_frame *f)
{
	const char *slash = f->module ? strrchr(f->module, '/') : NULL;

	printf("    #%-2zu 0x%012" PRIx64 " ", i, f->pc);
	if (f->function)
		printf("%s+0x%" PRIx64, shown(f->function), f->offset);
	else
		printf("?");
	if (f->source)
		printf(" at %s:%d", shown(f->source), f->line);
	if (f->module)
		printf(" (%s)", shown(slash ? slash + 1 : f->module));
	putchar('\n');
}

static const char *thread_name(const json_t *threads, pid_t tid)
{
	const json_t *t;
	size_t i;

	json_array_foreach(
		threads, i,
		t) if (json_integer_value(json_object_get(t, "tid")) ==
		       tid) return json_string_value(json_object_get(t, "comm"));
	return NULL;
}

static void print_threads(const struct shown_process *p)
{
	const json_t *threads = json_object_get(core_state(p->core), "threads");

	vec_for_each(path, &p->paths.v) {
		const char *name = thread_name(threads, path->tid);

		printf("  thread %d %s\n", (int)path->tid, name ? shown(name) : "");
		for (size_t i = 0; i < path->v.n; i++)
			print_frame(i, &path->v.v[i]);
		if (path->why)
			printf("    (it ends here: %s)\n", shown(path->why));
	}
}

static void print_map(const json_t *m)
{
	taddr_t start = 0, end = 0;
	int prot = 0;
	char size[32], name[4096];
	const char *kind = json_string_value(json_object_get(m, "kind"));
	struct err *e = json_get_addr(m, "start", &start);

	if (!e)
		e = json_get_addr(m, "end", &end);
	if (!e)
		e = json_get_i32(m, "prot", 0, 7, &prot);
	if (!e) {
		format_bytes(end - start, size, sizeof(size));
		stored_text(m, "name", name, sizeof(name));
		printf("    %012" PRIx64 "-%012" PRIx64 " %c%c%c %9s %-6s %-8s %s\n",
		       start, end, prot & PROT_READ ? 'r' : '-',
		       prot & PROT_WRITE ? 'w' : '-', prot & PROT_EXEC ? 'x' : '-', size,
		       kind ? shown(kind) : "?",
		       json_is_true(json_object_get(m, "stored")) ? "stored" : "", name);
	}
	err_free(e);
}

static const char *address(const json_t *socket, const char *end)
{
	return json_string_value(json_object_get(json_object_get(socket, end), "text"));
}

// As ss(8) would say it: state, own address, the peer's; how much waits; then what is left.
static void print_socket(const json_t *s)
{
	static const char *const but[] = {
		"kind",	 "path",   "domain", "type", "protocol", "inode",   "cookie",
		"local", "remote", "state",  "tcp",  "queue",	 "options", NULL};
	const char *state = json_string_value(json_object_get(s, "state"));
	const char *local = address(s, "local"), *remote = address(s, "remote");
	size_t waiting = json_array_size(json_object_get(s, "queue"));

	if (state)
		printf(" %s", shown(state));
	if (local && *local)
		printf(" %s", shown(local));
	if (remote && *remote)
		printf(" with %s", shown(remote));
	if (waiting)
		printf(" messages=%zu", waiting);
	print_members(s, but);
	print_members(json_object_get(s, "options"), NULL);
}

static void print_descriptor(const struct checkpoint *c, const json_t *d)
{
	static const char *const but[] = {"kind", "path", NULL};
	const json_t *file = show_file(c, d);
	char kind[64], path[4096];

	stored_text(file, "kind", kind, sizeof(kind));
	stored_text(file, "path", path, sizeof(path));
	printf("    %3" JSON_INTEGER_FORMAT " %-9s %s%s",
	       json_integer_value(json_object_get(d, "fd")), kind, path,
	       json_is_true(json_object_get(d, "cloexec")) ? " cloexec" : "");
	if (json_has(file, "domain"))
		print_socket(file);
	else
		print_members(file, but);
	putchar('\n');
}

static void print_handler(const struct shown_process *p, const json_t *h)
{
	int number = (int)json_integer_value(json_object_get(h, "signal"));
	const char *name = number > 0 && number < NSIG ? sigabbrev_np(number) : NULL;
	uint64_t handler = 0;
	struct call_frame f = {};

	err_free(json_get_mask(h, "handler", &handler));
	if (name)
		printf("    SIG%s", name);
	else
		printf("    signal %d", number);
	if (handler == (uint64_t)(uintptr_t)SIG_IGN) {
		printf(": ignored\n");
		return;
	}
	symbolizer_find(p->symbols, handler, true, &f);
	printf(": 0x%" PRIx64 " %s\n", handler, f.function ? shown(f.function) : "");
	call_frame_deinit(&f);
}

static void print_signals(const struct shown_process *p)
{
	static const char *const but[] = {"handlers", NULL};
	const json_t *s = json_object_get(core_state(p->core), "signals"), *h;
	size_t i;

	printf("  signals");
	print_members(s, but);
	putchar('\n');
	json_array_foreach(json_object_get(s, "handlers"), i, h) print_handler(p, h);
}

static void print_timers(const json_t *state)
{
	const json_t *timers = json_object_get(state, "timers"), *t, *one;
	const char *name;
	size_t i;

	if (!json_object_size(timers))
		return;
	printf("  timers\n");
	json_object_foreach((json_t *)(uintptr_t)timers, name, t)
	{
		if (!json_is_array(t)) {
			printf("   ");
			print_value(name, t);
			putchar('\n');
			continue;
		}
		json_array_foreach(t, i, one)
		{
			printf("    %s", shown(name));
			print_members(one, NULL);
			putchar('\n');
		}
	}
}

static void print_process(const struct checkpoint *c, const struct shown_process *p)
{
	const json_t *state = core_state(p->core), *one;
	char comm[64];
	size_t i;

	stored_text(state, "comm", comm, sizeof(comm));
	printf("process %" JSON_INTEGER_FORMAT " %s\n",
	       json_integer_value(json_object_get(state, "pid")), comm);
	print_threads(p);
	printf("  mappings\n");
	json_array_foreach(json_object_get(state, "maps"), i, one) print_map(one);
	printf("  descriptors and sockets\n");
	json_array_foreach(json_object_get(state, "descriptors"), i, one)
		print_descriptor(c, one);
	print_signals(p);
	print_timers(state);
}

void show_print(const struct checkpoint *c, const struct shown_process *v)
{
	static const struct {
		const char *title, *member;
	} rows[] = {{"name", "name"},	      {"program", "program"},
		    {"build-id", "build_id"}, {"trigger", "trigger"},
		    {"parent", "parent"},     {"kernel", "kernel"}};
	char text[4096];

	stored_time(c->manifest, text, sizeof(text));
	printf("checkpoint %s in %s\n  taken     %s\n", c->id, shown(c->path), text);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		stored_text(c->manifest, rows[i].member, text, sizeof(text));
		printf("  %-9s %s\n", rows[i].title, text);
	}
	stored_size(c->manifest, text, sizeof(text));
	printf("  memory    %s\n", text);
	for (size_t i = 0; i < c->cores.n; i++)
		print_process(c, &v[i]);
}
