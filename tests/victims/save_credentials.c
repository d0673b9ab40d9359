// SPDX-License-Identifier: LGPL-2.1-or-later
// Another user with groups, capabilities of every set, securebits, no_new_privs and seccomp filters; limits, umask, root,
// current folder, oom_score_adj, personality. A second thread differs in its credentials. Started by root.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/victims/self.h"

enum { UID = 12345, GID = 12346, FS_UID = 12350, OTHER_UID = 12399 };
static const gid_t groups[] = {4, 24, 1234};
static const uint64_t kept = 1ULL << CAP_NET_BIND_SERVICE | 1ULL << CAP_SYS_NICE;
static const uint64_t inherited = 1ULL << CAP_NET_BIND_SERVICE;

static struct stat cwd;
static uint64_t bounding;
static volatile unsigned asked, answered;
static char fault[200];

static void caps_set(uint64_t e, uint64_t p, uint64_t i)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {
		{(uint32_t)e, (uint32_t)p, (uint32_t)i},
		{(uint32_t)(e >> 32), (uint32_t)(p >> 32), (uint32_t)(i >> 32)}};

	must(syscall(SYS_capset, &h, d));
}

static void caps_get(uint64_t *e, uint64_t *p, uint64_t *i)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	syscall(SYS_capget, &h, d);
	*e = d[0].effective | (uint64_t)d[1].effective << 32;
	*p = d[0].permitted | (uint64_t)d[1].permitted << 32;
	*i = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
}

// Answers one system call with an error of its own.
static void filter(long nr, int error)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(*f), f};

	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

static uint64_t read_bounding(void)
{
	uint64_t set = 0;

	for (unsigned cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1)
			set |= 1ULL << cap;
	return set;
}

static void *second(void *arg)
{
	uint64_t e, p, i;
	uid_t r, eff, s;

	(void)arg;
	caps_set(inherited, inherited, 0);
	filter(SYS_swapon, 99);
	answered = 1;
	for (;;) {
		while (answered == asked)
			usleep(5000);
		caps_get(&e, &p, &i);
		syscall(SYS_getresuid, &r, &eff, &s);
		if (e != inherited || p != inherited || i)
			snprintf(fault, sizeof(fault), "second thread: capabilities %jx %jx %jx",
				 (uintmax_t)e, (uintmax_t)p, (uintmax_t)i);
		if (syscall(SYS_swapon, 0, 0) != -1 || errno != 99)
			snprintf(fault, sizeof(fault), "second thread: its filter: %d", errno);
		if (syscall(SYS_swapoff, 0) != -1 || errno != 98)
			snprintf(fault, sizeof(fault), "second thread: older filter: %d", errno);
		answered = asked;
	}
	return NULL;
}

static void check_ids(void)
{
	uid_t r, e, s;
	gid_t list[16], gr, ge, gs;

	getresuid(&r, &e, &s);
	expect(r == UID && e == UID && s == UID, "uids %u %u %u", r, e, s);
	expect(setfsuid((uid_t)-1) == FS_UID, "filesystem uid %d", setfsuid((uid_t)-1));
	getresgid(&gr, &ge, &gs);
	expect(gr == GID && ge == GID + 1 && gs == GID + 2, "gids %u %u %u", gr, ge, gs);
	int n = getgroups(16, list);
	expect(n == 3 && !memcmp(list, groups, sizeof(groups)), "%d groups", n);
}

static void check_caps(void)
{
	uint64_t e, p, i;

	caps_get(&e, &p, &i);
	expect(e == inherited && p == kept && i == inherited, "capabilities %jx %jx %jx",
	       (uintmax_t)e, (uintmax_t)p, (uintmax_t)i);
	expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) == 1 &&
		       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYS_NICE, 0, 0) == 0,
	       "ambient set");
	expect(read_bounding() == bounding, "bounding set %jx", (uintmax_t)read_bounding());
	expect(prctl(PR_GET_SECUREBITS) == SECBIT_NOROOT, "securebits %x",
	       prctl(PR_GET_SECUREBITS));
	expect(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no_new_privs");
	expect(prctl(PR_GET_SECCOMP) == 2, "seccomp mode");
	expect(syscall(SYS_kexec_load, 0, 0, 0, 0) == -1 && errno == 77, "newer filter: %d",
	       errno);
	expect(syscall(SYS_swapoff, 0) == -1 && errno == 98, "older filter: %d", errno);
}

static void check_place(void)
{
	struct rlimit l;
	struct stat st;
	int sig = 0;
	char text[16] = "";

	getrlimit(RLIMIT_NOFILE, &l);
	expect(l.rlim_cur == 123 && l.rlim_max == 321, "RLIMIT_NOFILE");
	getrlimit(RLIMIT_CPU, &l);
	expect(l.rlim_cur == 5000 && l.rlim_max == RLIM_INFINITY, "RLIMIT_CPU");
	getrlimit(RLIMIT_CORE, &l);
	expect(l.rlim_cur == 0 && l.rlim_max == 0, "RLIMIT_CORE");
	mode_t mask = umask(0);
	umask(mask);
	expect(mask == 027, "umask %o", mask);
	expect(!stat(".", &st) && st.st_ino == cwd.st_ino && st.st_dev == cwd.st_dev,
	       "current folder");
	expect(!stat("/sub", &st) && st.st_ino == cwd.st_ino, "root: %m");
	expect(personality(0xffffffff) == ADDR_NO_RANDOMIZE, "personality");
	prctl(PR_GET_PDEATHSIG, &sig);
	expect(sig == SIGURG, "death signal %d", sig);
	expect(prctl(PR_GET_DUMPABLE) == 1, "dumpable");
	int on = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &on);
	expect(on == 1, "child subreaper");
	expect(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "THP");
	int fd = open("/proc/self/oom_score_adj", O_RDONLY);
	if (fd >= 0) // not from within the root
		expect(read(fd, text, sizeof(text) - 1) > 0 && atoi(text) == 321, "oom %s", text);
}

static void check(void)
{
	check_ids();
	check_caps();
	check_place();
	asked++;
	while (answered != asked)
		usleep(5000);
	expect(!*fault, "%s", fault);
}

static void set_ids(void)
{
	must(setgroups(3, groups));
	must(setresgid(GID, GID + 1, GID + 2));
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_RAWIO));
	bounding = read_bounding();
	must(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_KEEP_CAPS));
	must(setresuid(UID, UID, UID));
	caps_set(kept | 1ULL << CAP_SETPCAP | 1ULL << CAP_SETUID,
		 kept | 1ULL << CAP_SETPCAP | 1ULL << CAP_SETUID, inherited);
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
	must(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
	setfsuid(FS_UID);
	caps_set(inherited, kept, inherited);
}

int main(void)
{
	pthread_t t;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (getuid())
		skip("only root can become what it is");
	self_block();
	must(write(fd, "321", 3));
	close(fd);
	must(mkdir("jail", 0755));
	must(mkdir("jail/sub", 0755));
	must(chdir("jail/sub"));
	must(chroot(".."));
	must(stat(".", &cwd));
	must(personality(ADDR_NO_RANDOMIZE));
	umask(027);
	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){123, 321}));
	must(setrlimit(RLIMIT_CPU, &(struct rlimit){5000, RLIM_INFINITY}));
	must(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	set_ids();
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	filter(SYS_swapoff, 98);
	filter(SYS_kexec_load, 77);
	must(prctl(PR_SET_DUMPABLE, 1));
	must(prctl(PR_SET_PDEATHSIG, SIGURG));
	asked = 1;
	must(-pthread_create(&t, NULL, second, NULL));
	while (answered != asked)
		usleep(1000);
	self_run(check);
}
