// SPDX-License-Identifier: LGPL-2.1-or-later
// Registers of a saved thread, and system calls that the stop interrupted.
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>

#include "os/kernel.h"
#include "os/ptrace.h"
#include "process/memory.h"
#include "resource/json.h"
#include "resource/threads.h"
#include "util/cleanup.h"

enum { XSTATE_MAX = 1 << 20, TEXT_BEFORE = 64 };
enum {
	USER_CS = 0x33,
	USER_DS = 0x2b
}; // selectors of 64-bit code (kernel, asm/segment.h)

// The calls that end with ERESTART_RESTARTBLOCK.
static const long restartable[] = {SYS_nanosleep, SYS_clock_nanosleep, SYS_poll,
				   SYS_futex};

static bool is_restartable(int64_t nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(restartable); i++)
		if (restartable[i] == nr)
			return true;
	return false;
}

static bool read_before(pid_t pid, taddr_t end, uint8_t text[TEXT_BEFORE])
{
	struct err *e = mem_read(pid, end - TEXT_BEFORE, text, TEXT_BEFORE);

	err_free(e);
	return !e;
}

// The last "mov $NR, %reg" in the text that loads the number of such a call; -1: none.
static long loaded(const uint8_t text[TEXT_BEFORE], uint8_t opcode)
{
	uint32_t nr;

	for (size_t at = TEXT_BEFORE - sizeof(nr); at-- > 0;) {
		memcpy(&nr, text + at + 1, sizeof(nr));
		if (text[at] == opcode && is_restartable(nr))
			return nr;
	}
	return -1;
}

// After a stop the kernel goes on with restart_syscall: that number hides the original one. The instruction that loaded it
// stands before the system call (mov $NR, %eax), close by in every C library; for syscall(3) before the call of that.
static long call_at(pid_t pid, const struct user_regs_struct *regs)
{
	static const uint8_t syscall_insn[] = {0x0f, 0x05};
	static const uint8_t rdi_to_rax[] = {0x48, 0x89, 0xf8};
	const uint8_t mov_eax = 0xb8, mov_edi = 0xbf;
	uint8_t text[TEXT_BEFORE];
	taddr_t caller;

	if (!read_before(pid, regs->rip, text) ||
	    memcmp(text + sizeof(text) - 2, syscall_insn, sizeof(syscall_insn)) != 0)
		return -1;
	long nr = loaded(text, mov_eax);
	if (nr >= 0 || !memmem(text, sizeof(text), rdi_to_rax, sizeof(rdi_to_rax)))
		return nr;
	struct err *e = mem_read(pid, regs->rsp, &caller, sizeof(caller));
	err_free(e);
	return !e && read_before(pid, caller, text) ? loaded(text, mov_edi) : -1;
}

struct err *save_restart(struct saver *s, const struct thread *t, json_t *out)
{
	long nr = thread_waits_in(t);

	if ((long)t->regs.rax != -UAPI_ERESTART_RESTARTBLOCK || nr < 0)
		return NULL;
	if (nr == SYS_restart_syscall)
		nr = call_at(s->process->pid, &t->regs);
	if (!is_restartable(nr))
		return saving_note(s->all,
				   "thread %d (%s) waits in a system call that cannot be "
				   "told; restored, the call gives EINTR",
				   t->tid, t->comm);
	return json_put_int(out, "restart", nr);
}

// With ERESTARTNOHAND in its place the kernel starts the call again, or gives EINTR when a handler runs first: what
// ERESTART_RESTARTBLOCK means, from the beginning. A sleep has written the time left to where the program wanted it, and
// takes it from there.
static void begin_again(struct user_regs_struct *regs, long nr)
{
	regs->orig_rax = (unsigned long)nr;
	regs->rax = (unsigned long)-UAPI_ERESTARTNOHAND;
	if (nr == SYS_nanosleep && regs->rsi)
		regs->rdi = regs->rsi;
	if (nr == SYS_clock_nanosleep && regs->r10 && !(regs->rsi & TIMER_ABSTIME))
		regs->rdx = regs->r10;
}

struct err *thread_registers(const json_t *thread, struct user_regs_struct *ret)
{
	int64_t nr;

	TRY(json_get_exact(thread, "regs", ret, sizeof(*ret)));
	TRY(json_opt_int(thread, "restart", 0, INT32_MAX, -1, &nr));
	if (nr >= 0 && !is_restartable(nr))
		return err_new(ERR_CORRUPT,
			       "member 'restart' is %d, no call of that kind", (int)nr);
	if (ret->cs != USER_CS || ret->ss != USER_DS ||
	    ret->rip >= (taddr_t)JSON_ADDR_MAX || ret->fs_base >= (taddr_t)JSON_ADDR_MAX ||
	    ret->gs_base >= (taddr_t)JSON_ADDR_MAX)
		return err_new(ERR_CORRUPT,
			       "member 'regs' is no state of a 64-bit program");
	if ((long)ret->rax != -UAPI_ERESTART_RESTARTBLOCK || (long)ret->orig_rax < 0)
		return NULL;
	if (nr >= 0) {
		begin_again(ret, (long)nr);
		return NULL;
	}
	ret->rax = (unsigned long)-EINTR;
	ret->orig_rax = (unsigned long)-1;
	return NULL;
}

struct err *thread_sigmask(const json_t *thread, uint64_t *ret)
{
	return json_get_mask(thread, "sigmask", ret);
}

struct err *check_saved_xstate(const json_t *thread)
{
	_cleanup_free_ uint8_t *saved = NULL;
	size_t len;

	return json_get_bytes(thread, "xstate", XSTATE_MAX, &saved, &len);
}

struct err *thread_set_xstate(const json_t *thread, pid_t tid)
{
	_cleanup_free_ uint8_t *saved = NULL, *now = NULL;
	size_t len;

	TRY(json_get_bytes(thread, "xstate", XSTATE_MAX, &saved, &len));
	now = malloc(XSTATE_MAX);
	if (!now)
		return err_nomem();
	ssize_t have = os_ptrace_getregset(tid, NT_X86_XSTATE, now, XSTATE_MAX);
	if (have < 0)
		return err_sys((int)have, "cannot read the FPU state of thread %d", tid);
	int r = (size_t)have == len ? os_ptrace_setregset(tid, NT_X86_XSTATE, saved, len)
				    : -EINVAL;
	if (r == -EINVAL || r == -EFAULT)
		return err_refuse(
			"cpu-state", "xstate",
			"the saved FPU and vector state (%zu bytes) does not fit "
			"this processor (%zd bytes)",
			len, have);
	return r < 0 ? err_sys(r, "cannot set the FPU state of thread %d", tid) : NULL;
}
