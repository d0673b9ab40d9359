// SPDX-License-Identifier: LGPL-2.1-or-later
// Open file descriptions: which descriptors are one object, and objects of a damaged or hostile image, of which each
// member is changed in turn: an error, no crash, no descriptor left behind. The process that is saved is a copy of the test.
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resource/json.h"
#include "util/cleanup.h"

static void fine(struct err *e)
{
	ck_assert_msg(!e, "%s", e ? e->message : "");
}

static int open_now(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static json_t *save(json_t **state)
{
	const char *skip[] = {"device"};
	struct save_options opt = {.skip = skip, .n_skip = 0};
	struct saving all = {.opt = &opt, .objects = json_object()};
	struct process copy = {.pid = fork()};
	struct saver s = {.all = &all, .process = &copy, .state = json_object()};

	if (!copy.pid)
		for (;;)
			pause();
	s.pidfd = (int)syscall(SYS_pidfd_open, copy.pid, 0);
	ck_assert_int_ge(s.pidfd, 0);
	fine(save_descriptors(&s));
	fine(saving_finish(&all));
	saving_deinit(&all);
	kill(copy.pid, SIGKILL);
	waitpid(copy.pid, NULL, 0);
	close(s.pidfd);
	vec_for_each(n, &all.notes)
		free(*n);
	vec_free(&all.notes);
	if (state)
		*state = s.state;
	else
		json_decref(s.state);
	return all.objects;
}

static json_int_t file_of(const json_t *state, int fd)
{
	const json_t *list = json_object_get(state, "descriptors");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		if (json_integer_value(json_object_get(o, "fd")) == fd)
			return json_integer_value(json_object_get(o, "file"));
	}
	return -1;
}

START_TEST(sharing)
{
	enum { N = 40 };
	int file[N], copy[N], event[N];
	json_t *state, *objects;

	for (int i = 0; i < N; i++) {
		file[i] = open("/etc/passwd", O_RDONLY);
		event[i] = eventfd(0, 0);
	}
	for (int i = 0; i < N; i++)
		copy[i] = dup(i % 2 ? file[i] : event[i]);
	objects = save(&state);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(file_of(state, copy[i]),
				 file_of(state, i % 2 ? file[i] : event[i]));
		for (int j = 0; j < i; j++) {
			ck_assert_int_ne(file_of(state, file[i]), file_of(state, file[j]));
			ck_assert_int_ne(file_of(state, event[i]),
					 file_of(state, event[j]));
		}
	}
	json_decref(state);
	json_decref(objects);
	for (int i = 0; i < N; i++) {
		close(file[i]);
		close(copy[i]);
		close(event[i]);
	}
}
END_TEST

// Some of each kind.
static void make_some(char *dir)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct itimerspec t = {{1, 0}, {100, 0}};
	char path[256];
	sigset_t set;
	int p[2], fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(write(fd, "text", 4), 4);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	open(path, O_PATH);
	open(dir, O_RDONLY | O_DIRECTORY);
	fd = open(dir, O_TMPFILE | O_RDWR, 0600);
	ck_assert_int_eq(write(fd, "gone", 4), 4);
	ck_assert_int_eq(pipe2(p, O_DIRECT), 0);
	ck_assert_int_eq(write(p[1], "packet", 6), 6);
	open("/dev/null", O_RDWR);
	open("/proc/self/status", O_RDONLY);
	open("/proc/uptime", O_RDONLY);
	int ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
	eventfd(5, EFD_SEMAPHORE);
	timerfd_settime(timerfd_create(CLOCK_REALTIME, 0), TFD_TIMER_ABSTIME, &t, NULL);
	sigemptyset(&set);
	signalfd(-1, &set, 0);
	inotify_add_watch(inotify_init(), path, IN_MODIFY);
	fd = memfd_create("name", MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, 100000), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 70000), 1);
	syscall(SYS_pidfd_open, getppid(), 0);
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_eq(unlockpt(master), 0);
	open(ptsname(master), O_RDWR | O_NOCTTY);
}

// Whether the objects can be made; nothing may be left over.
static bool try(const json_t *objects)
{
	struct restore_options opt = {.files = FILES_EXACT};
	struct restoring all = {.opt = &opt, .objects = objects};
	int before = open_now();
	struct err *e = restore_objects(&all);

	if (!e)
		e = restoring_start(&all);
	restoring_deinit(&all);
	vec_for_each(n, &all.notes)
		free(*n);
	vec_free(&all.notes);
	ck_assert_int_eq(open_now(), before);
	bool good = !e;
	if (e)
		ck_assert_int_ne(e->kind, ERR_INTERNAL);
	err_free(e);
	return good;
}

static json_t *strange(int which)
{
	switch (which) {
	case 0:
		return json_integer(-1);
	case 1:
		return json_integer(INT64_MAX);
	case 2:
		return json_integer(INT32_MAX);
	case 3:
		return json_string("");
	case 4:
		return json_stringn("/etc\0/passwd", 12);
	case 5:
		return json_string("/nowhere/at/all");
	case 6:
		return json_array();
	case 7:
		return json_object();
	case 8:
		return json_null();
	case 9:
		return json_true();
	case 10:
		return json_integer(0);
	case 11:
		return json_pack("[[], {}, -1, \"=\"]");
	case 12:
		return json_string("0xffffffffffffffff");
	default:
		return NULL;
	}
}

static int tried, went_well;

// Every member of every object below, in turn.
static void change_each(const json_t *root, json_t *o)
{
	const char *key;
	json_t *value, *copy = json_copy(o);
	size_t i;

	json_object_foreach(copy, key, value)
	{
		for (int which = 0;; which++) {
			json_t *s = strange(which);

			if (!s)
				break;
			json_object_set_new(o, key, s);
			tried++;
			went_well += try(root);
		}
		json_object_del(o, key);
		tried++;
		went_well += try(root);
		json_object_set(o, key, value);
		if (json_is_object(value))
			change_each(root, value);
		json_t *element;
		if (json_is_array(value))
			json_array_foreach(value, i, element) if (json_is_object(element))
				change_each(root, element);
	}
	json_decref(copy);
}

START_TEST(hostile)
{
	char dir[] = "/tmp/molt-test-files-XXXXXX";
	json_t *objects, *o;
	size_t i;

	make_some(dir);
	objects = save(NULL);
	ck_assert(try(objects));
	json_array_foreach(json_object_get(objects, "files"), i, o)
	{
		// The test's own standard output is none of its subject.
		if (i > 2 && !json_has(o, "outside"))
			change_each(objects, o);
	}
	ck_assert(try(objects));
	ck_assert_int_gt(tried, 1000);
	ck_assert_int_lt(went_well, tried / 2);
	json_decref(objects);
}
END_TEST

static bool makes(const json_t *objects, enum files_policy policy, const char *message)
{
	struct restore_options opt = {.files = policy};
	struct restoring all = {.opt = &opt, .objects = objects};
	struct err *e = restore_objects(&all);
	bool good = !e;

	restoring_deinit(&all);
	if (e) {
		ck_assert_str_eq(e->code, "file-changed");
		ck_assert_int_eq(e->kind, ERR_REFUSED);
		ck_assert_msg(strstr(e->message, message), "%s", e->message);
	}
	err_free(e);
	return good;
}

// Of a file that grew, shrank or was written to since.
START_TEST(policies)
{
	char name[] = "/tmp/molt-test-files-XXXXXX";
	struct timespec past[2] = {{1000, 0}, {1000, 0}};
	int fd = mkstemp(name);
	json_t *objects;

	ck_assert_int_eq(write(fd, "text", 4), 4);
	objects = save(NULL);
	ck_assert(makes(objects, FILES_EXACT, ""));
	ck_assert_int_eq(write(fd, "more", 4), 4);
	ck_assert(!makes(objects, FILES_EXACT, "had 4 bytes when it was saved and has 8"));
	ck_assert(!makes(objects, FILES_EXACT, name));
	ck_assert(makes(objects, FILES_APPEND_OK, ""));
	ck_assert(makes(objects, FILES_ANY, ""));
	ck_assert_int_eq(ftruncate(fd, 3), 0);
	ck_assert(!makes(objects, FILES_APPEND_OK, "has 3"));
	ck_assert(makes(objects, FILES_ANY, ""));
	ck_assert_int_eq(ftruncate(fd, 4), 0);
	ck_assert_int_eq(futimens(fd, past), 0);
	ck_assert(!makes(objects, FILES_EXACT, "written since"));
	json_decref(objects);
	unlink(name);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("files");
	TCase *t = tcase_create("files");

	tcase_add_test(t, sharing);
	tcase_add_test(t, hostile);
	tcase_add_test(t, policies);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
