// SPDX-License-Identifier: LGPL-2.1-or-later
// Uses cJSON from two threads: commands on standard input, and a loop that checks what it parses and prints.
#include <cJSON.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long rounds, wrong;
static atomic_bool stop;
static cJSON *kept; // lives as long as the program

static void *check_forever(void *arg)
{
	const char *text = arg;

	while (!stop) {
		cJSON *tree = cJSON_Parse(text);
		char *out = cJSON_PrintUnformatted(tree);

		wrong += !out || strcmp(out, text);
		rounds++;
		free(out);
		cJSON_Delete(tree);
		usleep(100);
	}
	return NULL;
}

static void say(char *text)
{
	printf("%s\n", text ? text : "(null)");
	fflush(stdout);
	free(text);
}

static void format(const char *text)
{
	cJSON *tree = cJSON_Parse(text);

	say(tree ? cJSON_PrintUnformatted(tree) : strdup("no JSON"));
	cJSON_Delete(tree);
}

static void keep(char *text)
{
	char *value = strchr(text, ' ');

	if (value) {
		*value++ = 0;
		cJSON_AddNumberToObject(kept, text, strtod(value, NULL));
	}
	say(cJSON_PrintUnformatted(kept));
}

// What a null pointer in the wrong place does.
static void null(void)
{
	cJSON *array = cJSON_CreateArray();
	char *text = NULL;

	if (asprintf(&text, "insert %d", cJSON_InsertItemInArray(array, 0, NULL)) > 0)
		say(text);
	cJSON_Delete(array);
}

static void obey(char *line)
{
	char *text = NULL;

	line[strcspn(line, "\n")] = 0;
	if (!strncmp(line, "format ", 7))
		format(line + 7);
	else if (!strncmp(line, "keep ", 5))
		keep(line + 5);
	else if (!strcmp(line, "null"))
		null();
	else if (asprintf(&text, "%ld rounds, %ld wrong", (long)rounds, (long)wrong) > 0)
		say(text);
}

int main(void)
{
	char doc[] = "{\"name\":\"a \\\"quoted\\\" one\",\"list\":[1,2.5,-3,true,false,null],"
		     "\"deep\":{\"x\":[[[]]],\"y\":{}}}";
	char line[4096];
	pthread_t t;

	kept = cJSON_CreateObject();
	pthread_create(&t, NULL, check_forever, doc);
	say(strdup("ready"));
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	stop = true;
	pthread_join(t, NULL);
	cJSON_Delete(kept);
	return wrong != 0;
}
