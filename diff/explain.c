// SPDX-License-Identifier: LGPL-2.1-or-later
// Says in words what differs between two instructions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "diff/private.h"

enum { TEXT = 120, QUOTED = 60 };

static void quote(const char *s, char *buf)
{
	size_t n = 0;

	buf[n++] = '"';
	for (; *s && n < QUOTED; s++) {
		if (*s == '\n') {
			buf[n++] = '\\';
			buf[n++] = 'n';
		} else {
			buf[n++] = *s;
		}
	}
	snprintf(buf + n, TEXT - n, *s ? "...\"" : "\"");
}

static void describe_slot(const struct side *s, vaddr_t slot, char *buf)
{
	const struct reloc *r = module_reloc_at(s->m, slot);

	snprintf(buf, TEXT, "%s", r && r->name ? r->name : "a slot without a name");
}

static void describe_data(const struct side *s, const struct insn *in, char *buf)
{
	uint32_t v = side_var_at(s, in->target).inside;
	const char *text = in->access ? NULL : string_at(s, in->target);

	if (v != NO_TWIN && s->vars[v].addr == in->target)
		snprintf(buf, TEXT, "%s", s->vars[v].name);
	else if (v != NO_TWIN)
		snprintf(buf, TEXT, "%s+%lu", s->vars[v].name,
			 (unsigned long)(in->target - s->vars[v].addr));
	else if (text)
		quote(text, buf);
	else
		snprintf(buf, TEXT, "%s at 0x%lx", in->access ? "a constant" : "data",
			 (unsigned long)in->target);
}

static void describe(const struct side *s, const struct insn *in, char *buf)
{
	uint32_t f;
	vaddr_t slot;

	switch ((enum ref_kind)in->ref) {
	case REF_BRANCH:
		snprintf(buf, TEXT, "instruction %u", in->target_index);
		return;
	case REF_CODE:
		f = side_func_at(s, in->target);
		snprintf(buf, TEXT, "%s",
			 f == NO_TWIN ? "unknown code" : s->funcs[f].name);
		return;
	case REF_PLT:
		if (plt_entry_slot(s->m, in->target, &slot))
			describe_slot(s, slot, buf);
		return;
	case REF_GOT:
		describe_slot(s, in->target, buf);
		return;
	case REF_TABLE:
		snprintf(buf, TEXT, "a jump table");
		return;
	case REF_DATA:
	case REF_RODATA:
		describe_data(s, in, buf);
		return;
	case REF_NONE:
	case REF_ABS:
		break;
	}
	snprintf(buf, TEXT, "0x%lx", (unsigned long)in->target);
}

static const char *mnemonic(const struct side *s, const struct insn *in)
{
	const uint8_t *p = module_bytes(s->m, in->addr, in->len);
	ZydisDecodedInstruction z;
	ZydisDecoder d;

	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!p || !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, p, in->len, &z)))
		return "?";
	return ZydisMnemonicGetString(z.mnemonic);
}

int64_t insn_immediate(const struct side *s, const struct insn *in)
{
	const uint8_t *p = module_bytes(s->m, in->addr, in->len);
	int8_t i8;
	int16_t i16;
	int32_t i32;
	int64_t i64 = 0;

	if (!p)
		return 0;
	p += in->imm_off;
	switch (in->imm_size) {
	case 1:
		memcpy(&i8, p, 1);
		return i8;
	case 2:
		memcpy(&i16, p, 2);
		return i16;
	case 4:
		memcpy(&i32, p, 4);
		return i32;
	case 8:
		memcpy(&i64, p, 8);
		return i64;
	default:
		return 0;
	}
}

char *explain_difference(const struct comparer *c, const struct insn *o,
			 const struct insn *n)
{
	char a[TEXT] = "", b[TEXT] = "", *text;
	const char *name = mnemonic(c->new, n);
	int len;

	if (!o) {
		len = asprintf(&text, "0x%lx %s is new", (unsigned long)n->addr, name);
	} else if (o->hash != n->hash &&
		   insn_immediate(c->old, o) == insn_immediate(c->new, n)) {
		len = asprintf(&text, "0x%lx %s: what its fixed address means differs",
			       (unsigned long)n->addr, name);
	} else if (o->hash != n->hash) {
		len = asprintf(&text, "0x%lx %s: %ld became %ld", (unsigned long)n->addr,
			       name, (long)insn_immediate(c->old, o),
			       (long)insn_immediate(c->new, n));
	} else {
		describe(c->old, o, a);
		describe(c->new, n, b);
		if (!strcmp(a, b))
			len = asprintf(&text, "0x%lx %s: what %s is differs",
				       (unsigned long)n->addr, name, a);
		else
			len = asprintf(&text, "0x%lx %s: %s became %s",
				       (unsigned long)n->addr, name, a, b);
	}
	return len < 0 ? NULL : text;
}
