// SPDX-License-Identifier: LGPL-2.1-or-later
// Harmless causes of a difference: a line number proven with DWARF, a version, date or build path.
#include <ctype.h>
#include <string.h>

#include "diff/private.h"
#include "util/path.h"

enum { MAX_DELTA = 10 }; // lines of one statement

static bool is_token(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("./-+~_:", c));
}

static bool is_version(const char *s, size_t n)
{
	size_t digits = 0, letters = 0;

	if (n && (*s == 'v' || *s == 'V')) {
		s++;
		n--;
	}
	if (!n || !isdigit((unsigned char)*s))
		return false;
	for (size_t i = 0; i < n; i++) {
		digits += !!isdigit((unsigned char)s[i]);
		letters += !!isalpha((unsigned char)s[i]);
	}
	return digits && letters <= 8;
}

static bool is_path(const char *s, size_t n)
{
	return n && *s == '/' && memchr(s + 1, '/', n - 1);
}

static bool is_month(const char *s, size_t n)
{
	static const char *const months = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (size_t i = 0; n == 3 && months[i]; i += 3) {
		if (!strncmp(s, months + i, 3))
			return true;
	}
	return false;
}

static bool harmless_token(const char *a, size_t na, const char *b, size_t nb)
{
	return (is_version(a, na) && is_version(b, nb)) ||
	       (is_path(a, na) && is_path(b, nb)) || (is_month(a, na) && is_month(b, nb));
}

static size_t token_length(const char *s)
{
	size_t n = 0;

	while (is_token(s[n]))
		n++;
	return n;
}

// Token by token; what stands between the tokens must be equal.
static bool version_strings(const char *a, const char *b)
{
	while (*a || *b) {
		size_t na = token_length(a), nb = token_length(b);

		if (na != nb || strncmp(a, b, na)) {
			if (!harmless_token(a, na, b, nb))
				return false;
		}
		a += na;
		b += nb;
		if (!na && !nb && *a++ != *b++)
			return false;
	}
	return true;
}

static bool is_line_number(const struct comparer *c, const struct insn *o,
			   const struct insn *n)
{
	struct source_pos po, pn;

	if (o->hash_noimm != n->hash_noimm || !o->imm_size ||
	    !dwarf_names_line(c->old->names, c->old->m, o->addr, &po) ||
	    !dwarf_names_line(c->new->names, c->new->m, n->addr, &pn))
		return false;
	int64_t a = insn_immediate(c->old, o) - po.line,
		b = insn_immediate(c->new, n) - pn.line;

	return a == b && a >= -MAX_DELTA && a <= MAX_DELTA &&
	       !strcmp(path_base(po.file), path_base(pn.file));
}

static bool is_version_string(const struct comparer *c, const struct insn *o,
			      const struct insn *n)
{
	const char *a, *b;

	if (o->hash != n->hash || o->ref != REF_RODATA || n->ref != REF_RODATA ||
	    o->access)
		return false;
	a = string_at(c->old, o->target);
	b = string_at(c->new, n->target);
	return a && b && strcmp(a, b) && version_strings(a, b);
}

void find_cause(struct comparer *c, struct func_pair *p)
{
	bool line = true, version = true;

	if (p->verdict != FUNC_IMM && p->verdict != FUNC_REF)
		return;
	const struct func *of = &c->old->funcs[p->old], *nf = &c->new->funcs[p->new];
	for (size_t i = 0; i < nf->body.insns.n && (line || version); i++) {
		const struct insn *o = &of->body.insns.v[i], *n = &nf->body.insns.v[i];
		bool is_line, is_version_text;

		if (p->twin[i] != NO_TWIN)
			continue;
		is_line = is_line_number(c, o, n);
		is_version_text = is_version_string(c, o, n);
		line &= is_line;
		version &= is_version_text || is_line;
	}
	if (line)
		p->cause = CAUSE_LINE;
	else if (version)
		p->cause = CAUSE_VERSION;
}
