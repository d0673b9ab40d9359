// SPDX-License-Identifier: GPL-2.0-or-later
// molt show --json.
#include "cmd/show.h"

static json_t *frame_json(const struct call_frame *f)
{
	return json_pack("{s:I, s:o, s:I, s:o, s:o, s:o}", "pc", (json_int_t)f->pc,
			 "function", cmd_json_string(f->function), "offset",
			 (json_int_t)f->offset, "module", cmd_json_string(f->module),
			 "file", cmd_json_string(f->source), "line",
			 f->source ? json_integer(f->line) : json_null());
}

static json_t *path_json(const struct call_path *p)
{
	json_t *frames = json_array();

	vec_for_each(f, &p->v)
		json_array_append_new(frames, frame_json(f));
	return json_pack("{s:i, s:o, s:b, s:o}", "tid", (int)p->tid, "frames", frames,
			 "complete", !p->why, "reason", cmd_json_string(p->why));
}

// The state as it is saved, but for what is only of use to a restore.
static json_t *state_json(const json_t *state)
{
	json_t *copy = json_deep_copy(state), *thread;
	size_t i;

	json_object_del(copy, "auxv");
	json_array_foreach(json_object_get(copy, "threads"), i, thread)
		json_object_del(thread, "xstate");
	return copy;
}

static json_t *process_json(const struct shown_process *p)
{
	json_t *paths = json_array();

	vec_for_each(path, &p->paths.v)
		json_array_append_new(paths, path_json(path));
	return json_pack("{s:o, s:o}", "call_paths", paths, "state",
			 state_json(core_state(p->core)));
}

static json_t *manifest_json(const json_t *manifest)
{
	json_t *copy = json_deep_copy(manifest), *process;
	size_t i;

	json_array_foreach(json_object_get(copy, "processes"), i, process)
		json_object_del(process, "blocks");
	return copy;
}

json_t *show_json(const struct checkpoint *c, const struct shown_process *v)
{
	const json_t *objects = core_objects(c->cores.v[0]);
	json_t *processes = json_array();

	for (size_t i = 0; i < c->cores.n; i++)
		json_array_append_new(processes, process_json(&v[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "id", c->id, "path",
			 cmd_json_string(c->path), "manifest", manifest_json(c->manifest),
			 "processes", processes, "objects",
			 objects ? json_deep_copy(objects) : json_null());
}
