// SPDX-License-Identifier: LGPL-2.1-or-later
// Base64 both ways; see json.h.
#include <errno.h>
#include <string.h>

#include "image/json.h"

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
	const uint8_t *in = data;
	size_t groups = len / 3 + (len % 3 != 0), at = 0;
	char *text = groups < SIZE_MAX / 4 ? malloc(groups * 4 + 1) : NULL;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16;

		if (n > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			v |= in[i + 2];
		text[at++] = digits[v >> 18];
		text[at++] = digits[v >> 12 & 63];
		text[at++] = n > 1 ? digits[v >> 6 & 63] : '=';
		text[at++] = n > 2 ? digits[v & 63] : '=';
	}
	text[at] = 0;
	return text;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// The four digits at `in` as 24 bits; `n` of them are meant, the bits behind those have to be 0. -1: no base64.
static int32_t group(const char *in, size_t n)
{
	int32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int d = i < n ? value_of(in[i]) : 0;

		if (d < 0)
			return -1;
		v = v << 6 | d;
	}
	int32_t unused = n == 2 ? 0xffff : n == 3 ? 0xff : 0;
	return v & unused ? -1 : v;
}

bool base64_decode(const char *text, size_t text_len, size_t max, uint8_t **ret,
		   size_t *len)
{
	size_t pad = 0, n = 0;

	*ret = NULL;
	*len = 0;
	errno = EINVAL;
	if (text_len % 4)
		return false;
	while (pad < 2 && pad < text_len && text[text_len - 1 - pad] == '=')
		pad++;
	size_t size = text_len / 4 * 3 - pad;
	if (size > max)
		return false;
	uint8_t *out = malloc(size + 1);
	if (!out)
		return false;
	for (size_t i = 0; i < text_len; i += 4) {
		size_t meant = i + 4 == text_len ? 4 - pad : 4;
		int32_t v = group(text + i, meant);

		if (v < 0) {
			free(out);
			errno = EINVAL;
			return false;
		}
		for (size_t k = 0; k + 1 < meant; k++)
			out[n++] = (uint8_t)(v >> (16 - 8 * k));
	}
	*ret = out;
	*len = n;
	return true;
}
