// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes the small stubs that differ by thread or gate.
#include "arch/x86_64/payload.h"

#include <string.h>

static void put_rel32(uint8_t *at, uint64_t next, uint64_t target)
{
	int32_t rel = (int32_t)(target - next);

	memcpy(at, &rel, sizeof(rel));
}

void payload_exit_stub(uint8_t out[PAYLOAD_STUB], uint64_t stub, uint64_t state)
{
	static const uint8_t code[PAYLOAD_STUB] = {
		0x4c, 0x8b, 0x2d, 0, 0, 0, 0, // mov r13(%rip), %r13
		0xff, 0x25, 0,	  0, 0, 0,    // jmp *rip(%rip)
		0xcc, 0xcc, 0xcc,
	};

	memcpy(out, code, PAYLOAD_STUB);
	put_rel32(out + 3, stub + 7, state + TS_R13);
	put_rel32(out + 9, stub + 13, state + TS_RIP);
}

void payload_gate_stub(uint8_t out[PAYLOAD_STUB], uint64_t stub, uint32_t index,
		       uint64_t common)
{
	static const uint8_t code[PAYLOAD_STUB] = {
		0x48, 0x8d, 0x64, 0x24, 0x80, // lea -128(%rsp), %rsp
		0x68, 0,    0,	  0,	0,    // push $index
		0xe9, 0,    0,	  0,	0,    // jmp common
		0xcc,
	};

	memcpy(out, code, PAYLOAD_STUB);
	memcpy(out + 6, &index, sizeof(index));
	put_rel32(out + 11, stub + 15, common);
}
