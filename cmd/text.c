// SPDX-License-Identifier: GPL-2.0-or-later
// Making text from outside harmless; see text.h.
#include "cmd/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// The bytes of the UTF-8 character at s, 0 when it is none; *ret: which one.
static size_t decode(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *s < 0x80		 ? 1
		   : (*s & 0xe0) == 0xc0 ? 2
		   : (*s & 0xf0) == 0xe0 ? 3
		   : (*s & 0xf8) == 0xf0 ? 4
					 : 0;

	*ret = n == 1 ? *s : *s & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) // the end of the text too
			return 0;
		*ret = *ret << 6 | (s[i] & 0x3f);
	}
	bool none = n && (*ret < least[n] || *ret > 0x10ffff || (*ret >> 11) == 0x1b);
	return none ? 0 : n;
}

static bool is_harmless(uint32_t c)
{
	bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
	bool direction = c == 0x061c || c == 0x200e || c == 0x200f ||
			 (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);

	return !control && !direction;
}

// The bytes at s that may be shown as they are; 0: there are none.
static size_t harmless_at(const char *s)
{
	uint32_t c;
	size_t n = decode((const unsigned char *)s, &c);

	return n && is_harmless(c) ? n : 0;
}

static size_t escape(char *to, char c)
{
	static const char plain[] = "\n\t\r", letters[] = "ntr";
	const char *known = c ? strchr(plain, c) : NULL;

	return (size_t)(known ? sprintf(to, "\\%c", letters[known - plain])
			      : sprintf(to, "\\x%02x", (unsigned char)c));
}

const char *shown_in(char buf[SHOWN_MAX], const char *text)
{
	static const char cut[] = "...";
	const char *s = text;
	size_t at = 0;

	for (size_t n; s && *s && (n = harmless_at(s));)
		s += n;
	if (!s || !*s)
		return text;
	for (s = text; *s;) {
		size_t n = harmless_at(s);

		if (at + sizeof("\\x00") + sizeof(cut) > SHOWN_MAX) {
			strcpy(buf + at, cut);
			return buf;
		}
		memcpy(buf + at, s, n);
		at += n ? n : escape(buf + at, *s);
		s += n ? n : 1;
	}
	buf[at] = 0;
	return buf;
}
