// SPDX-License-Identifier: GPL-2.0-or-later
// Arguments that more than one verb takes, and the nearest word for one that was
// mistyped.
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"

struct err *parse_pid(const char *text, int *ret)
{
	char *end;

	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 1 || value > INT_MAX)
		return err_new(ERR_USAGE, "'%s' is no pid", text);
	*ret = (int)value;
	return NULL;
}

struct err *check_debug(const char *path)
{
	return access(path, F_OK) ? err_new(ERR_USAGE, "cannot look into --debug %s: %s",
					    path, strerror(errno))
				  : NULL;
}

struct err *check_readable(const char *path)
{
	return access(path, R_OK) ? err_with(err_new(ERR_USAGE, "cannot read %s: %s",
						     path, strerror(errno)),
					     NULL, path)
				  : NULL;
}

struct err *parse_generation(const char *text, int *ret)
{
	char *end;

	errno = 0;
	long n = strtol(text, &end, 10);
	if (end == text || *end || errno || n < 0 || n > INT_MAX)
		return err_new(ERR_USAGE, "'%s' is not a generation", text);
	*ret = (int)n;
	return NULL;
}

struct err *parse_seconds(const char *text, double *ret)
{
	static const double longest = 1e6;
	char *end;

	errno = 0;
	double value = strtod(text, &end);
	if (errno || end == text || *end || !isfinite(value) || value < 0 ||
	    value > longest)
		return err_new(ERR_USAGE, "'%s' is no number of seconds", text);
	*ret = value;
	return NULL;
}

enum { WORD_MAX = 32 };

// Levenshtein's distance; words longer than WORD_MAX are far from everything.
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], n = strlen(b);

	if (n > WORD_MAX || strlen(a) > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t change = diagonal + (a[i] != b[j]);
			size_t best = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;

			diagonal = row[j + 1];
			row[j + 1] = change < best ? change : best;
		}
	}
	return row[n];
}

const char *nearest_word(const char *word, const char *(*name)(size_t i))
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 3 + 2;

	for (size_t i = 0; name(i); i++) {
		size_t d = distance(word, name(i));

		if (strncmp(word, name(i), strlen(word)) == 0)
			d = d ? 1 : 0;
		if (d < best_distance) {
			best = name(i);
			best_distance = d;
		}
	}
	return best;
}
