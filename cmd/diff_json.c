// SPDX-License-Identifier: GPL-2.0-or-later
// molt diff --json, schema molt/diff/1.
#include <string.h>

#include "cmd/diff_report.h"

static json_t *module_json(const struct module *m)
{
	json_t *o = json_object();

	json_object_set_new(o, "path", cmd_json_string(m->path));
	json_object_set_new(o, "build_id", json_string(m->build_id));
	json_object_set_new(o, "debug_file", cmd_json_string(m->debug_path));
	json_object_set_new(o, "symbols", json_boolean(m->has_symtab));
	json_object_set_new(o, "debug_info", json_boolean(module_has_dwarf(m)));
	return o;
}

static json_t *function_detail(const struct diff *d, const struct func_pair *p)
{
	const struct func *f = diff_func(d, p);
	struct source_pos pos = {f->file, 0};
	json_t *o = json_object();

	diff_func_pos(d, p, &pos);
	json_object_set_new(o, "name", cmd_json_string(f->name));
	json_object_set_new(o, "verdict", json_string(func_verdict_name(p->verdict)));
	json_object_set_new(o, "cause", json_string(diff_cause_name(p->cause)));
	json_object_set_new(o, "reason", cmd_json_string(p->reason));
	json_object_set_new(o, "file", cmd_json_string(pos.file));
	json_object_set_new(o, "line", pos.line ? json_integer(pos.line) : json_null());
	if (p->old != NO_TWIN && p->new != NO_TWIN)
		json_object_set_new(o, "confidence", json_real((double)p->confidence));
	return o;
}

static json_t *functions_json(const struct diff *d)
{
	json_t *o = json_object(), *details = json_array();
	json_t *lists[FUNC_REMOVED + 1];

	json_object_set_new(o, "same", json_integer((json_int_t)d->count[FUNC_SAME]));
	for (size_t v = FUNC_SAME + 1; v < ARRAY_SIZE(lists); v++) {
		lists[v] = json_array();
		json_object_set_new(o, func_verdict_name((enum func_verdict)v), lists[v]);
	}
	vec_for_each(p, &d->funcs) {
		if (p->verdict == FUNC_SAME)
			continue;
		json_array_append_new(lists[p->verdict],
				      cmd_json_string(diff_func(d, p)->name));
		json_array_append_new(details, function_detail(d, p));
	}
	json_object_set_new(o, "details", details);
	return o;
}

static json_t *variable_detail(const struct diff *d, const struct var_pair *p)
{
	const struct var *v = diff_var(d, p);
	json_t *o = json_object();

	json_object_set_new(o, "name", cmd_json_string(v->name));
	json_object_set_new(o, "verdict", json_string(var_verdict_name(p->verdict)));
	json_object_set_new(o, "file", cmd_json_string(v->file));
	json_object_set_new(o, "type", cmd_json_string(v->type_name));
	json_object_set_new(o, "const", json_boolean(v->is_const));
	if (p->old != NO_TWIN)
		json_object_set_new(o, "old_size",
				    json_integer((json_int_t)d->old_vars.v[p->old].size));
	if (p->new != NO_TWIN)
		json_object_set_new(o, "new_size",
				    json_integer((json_int_t)d->new_vars.v[p->new].size));
	json_object_set_new(o, "meaning_changed", json_boolean(p->type_changed_meaning));
	json_object_set_new(o, "written_at_start_only",
			    json_boolean(p->written_at_start_only));
	json_object_set_new(o, "detail", cmd_json_string(p->detail));
	return o;
}

static json_t *variables_json(const struct diff *d)
{
	json_t *o = json_object(), *details = json_array();
	json_t *lists[VAR_REMOVED + 1];
	size_t same = 0;

	for (size_t v = VAR_SAME + 1; v < ARRAY_SIZE(lists); v++) {
		lists[v] = json_array();
		json_object_set_new(o, var_verdict_name((enum var_verdict)v), lists[v]);
	}
	vec_for_each(p, &d->vars) {
		if (p->verdict == VAR_SAME && !p->type_changed_meaning) {
			same++;
			continue;
		}
		if (p->verdict != VAR_SAME)
			json_array_append_new(lists[p->verdict],
					      cmd_json_string(diff_var(d, p)->name));
		json_array_append_new(details, variable_detail(d, p));
	}
	json_object_set_new(o, "same", json_integer((json_int_t)same));
	json_object_set_new(o, "details", details);
	return o;
}

static json_t *type_detail(const struct type_change *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", cmd_json_string(c->name));
	json_object_set_new(o, "verdict", json_string(type_verdict_name(c->verdict)));
	json_object_set_new(o, "layout", json_string(type_verdict_name(c->layout)));
	json_object_set_new(o, "member", cmd_json_string(c->member));
	json_object_set_new(o, "detail", cmd_json_string(c->detail));
	json_object_set_new(o, "old_size", json_integer((json_int_t)c->old_size));
	json_object_set_new(o, "new_size", json_integer((json_int_t)c->new_size));
	json_object_set_new(o, "file", cmd_json_string(c->file));
	json_object_set_new(o, "line", c->line ? json_integer(c->line) : json_null());
	json_object_set_new(o, "live", json_boolean(c->live));
	json_object_set_new(o, "via", cmd_json_string(c->via));
	json_object_set_new(o, "refused", json_boolean(type_change_refuses(c)));
	return o;
}

static json_t *types_json(const struct diff *d)
{
	const struct type_report *r = &d->types;
	json_t *o = json_object(), *details = json_array();
	json_t *lists[TYPE_SHIFTED + 1];

	json_object_set_new(o, "compared",
			    json_boolean(r->old_has_dwarf && r->new_has_dwarf));
	json_object_set_new(o, "same", json_integer((json_int_t)r->same));
	for (size_t v = TYPE_SAME + 1; v < ARRAY_SIZE(lists); v++) {
		lists[v] = json_array();
		json_object_set_new(o, type_verdict_name((enum type_verdict)v), lists[v]);
	}
	vec_for_each(c, &r->changes) {
		json_array_append_new(lists[c->verdict], cmd_json_string(c->name));
		json_array_append_new(details, type_detail(c));
	}
	json_object_set_new(o, "details", details);
	return o;
}

static json_t *facts_json(const struct diff *d)
{
	json_t *list = json_array();

	vec_for_each(f, &d->facts) {
		json_t *o = json_object();

		json_object_set_new(o, "kind", json_string(diff_fact_name(f->kind)));
		json_object_set_new(o, "object", cmd_json_string(f->object));
		json_object_set_new(o, "detail", cmd_json_string(f->detail));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *pairing_json(const struct diff *d)
{
	struct diff_certainty c = diff_certainty(d);
	json_t *o = json_object();

	json_object_set_new(o, "by", json_string(d->by_shape ? "shape" : "name"));
	json_object_set_new(o, "pairs", json_integer((json_int_t)c.pairs));
	json_object_set_new(o, "certain", json_integer((json_int_t)c.certain));
	json_object_set_new(o, "least",
			    json_real(c.least	? (double)c.least->confidence
				      : c.pairs ? 1.0
						: 0.0));
	return o;
}

int diff_print_json(const struct verb *verb, const struct diff *d)
{
	json_t *o = cmd_json(verb);

	json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
	json_object_set_new(o, "old", module_json(d->old));
	json_object_set_new(o, "new", module_json(d->new));
	json_object_set_new(o, "pairing", pairing_json(d));
	json_object_set_new(o, "functions", functions_json(d));
	json_object_set_new(o, "variables", variables_json(d));
	json_object_set_new(o, "types", types_json(d));
	json_object_set_new(o, "facts", facts_json(d));
	return cmd_print_json(o, DONE);
}
