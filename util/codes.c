// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of codes; see codes.h. scripts/check-codes compares it with the codes in the
// source.
#include "util/codes.h"

#include <string.h>

#include "util/vec.h"

static const struct code_text table[] = {
	// The files.
	{"not-elf", "the file is no ELF file",
	 "molt compares and loads ELF executables. A script or a wrapper is none.",
	 "Give the program itself, not the script that starts it."},
	{"wrong-arch", "the program is for another architecture",
	 "Both programs have to be 64-bit x86 (x86-64, little endian).",
	 "Give a build for the machine that the process runs on."},
	{"not-executable", "the ELF file is no program",
	 "It is an object file, a core or a debug file without code, or a shared library "
	 "in the place of the program; a process cannot run it.",
	 "Link it, or give the executable beside it. A debug file is named with --debug, "
	 "a library with --module OLD=NEW."},
	{"corrupt-elf", "the ELF file is damaged",
	 "A table of the file points outside of it: it was truncated or overwritten.",
	 "Build or install it again; 'readelf -a FILE' shows what is left."},
	{"non-pie", "the program is linked to fixed addresses",
	 "Code that is not position independent holds absolute 32-bit addresses that "
	 "cannot be found with certainty, so its data references cannot be "
	 "redirected.",
	 "Build with -fPIE -pie (the default of Debian's gcc)."},
	{"static-exe", "the program is statically linked",
	 "A static executable has no ld.so bookkeeping that an update could carry "
	 "on.",
	 "Link it dynamically."},
	{"stripped", "no symbols for the part that changed",
	 "Functions and variables were paired by shape, and a pair that the update "
	 "depends on is not certain.",
	 "Give the debug file with --debug DIR, or install the -dbgsym package of "
	 "both versions."},
	{"no-debug-info", "no debug information, so types cannot be judged",
	 "Whether the layout of a structure changed is seen only in DWARF. Going on "
	 "without it could corrupt data without any message.",
	 "Build both programs with -g, or give their debug files with --debug DIR."},

	// The process.
	{"pid-gone", "there is no such process",
	 "The pid does not exist, or the process ended while molt looked at it.",
	 "Look the pid up again (pidof, systemctl show -p MainPID)."},
	{"zombie", "the process has ended already",
	 "It is a zombie that waits for its parent to collect it; it has no memory "
	 "any more.",
	 "Start the program anew."},
	{"kernel-thread", "it is a kernel thread", "A kernel thread has no program.",
	 "Give the pid of a program."},
	{"not-a-process", "the number is a thread's, not a process's",
	 "An update moves a whole process with all its threads.",
	 "Give the process id that the message names."},
	{"self", "molt cannot update itself",
	 "The process given is the molt that runs; it cannot stop itself.",
	 "Give the pid of the server."},
	{"already-traced", "another program traces the process",
	 "Only one tracer (debugger, strace, another molt) can stop a process. The "
	 "message names its pid.",
	 "Detach the tracer and try again."},
	{"not-64-bit", "the process runs 32-bit code",
	 "molt updates 64-bit x86 processes only.", "Use a 64-bit build of the program."},
	{"no-permission", "molt may not trace the process",
	 "The kernel denies it: another user's process, the Yama sysctl, or a "
	 "missing capability. The message names which.",
	 "Run molt as root or with CAP_SYS_PTRACE; if kernel.yama.ptrace_scope is 3, "
	 "the host forbids it until it reboots. 'molt doctor' shows what this host "
	 "allows."},
	{"seccomp", "the process's system call filter forbids what the update needs",
	 "A seccomp filter of the process would not let molt do what it has to do in it. "
	 "The "
	 "filters are read and asked before anything is done, so that nothing is killed; "
	 "the "
	 "message names the call (clone, mmap, mprotect, memfd_create, futex ...).",
	 "Allow the call in the filter (systemd: SystemCallFilter). Reading filters "
	 "needs "
	 "CAP_SYS_ADMIN. Where memory may not become executable "
	 "(MemoryDenyWriteExecute), restart the program."},
	{"interrupted", "a signal told molt to give up",
	 "It was waiting or preparing when SIGINT, SIGTERM or SIGHUP came; the process "
	 "goes on as it was and nothing is left in it.",
	 "Update it again when it suits you; for a terminal that may go away, use nohup "
	 "or setsid."},
	{"busy", "another molt works on the process",
	 "An update of this process is under way or was not finished.",
	 "Wait for it to end. 'molt status PID' shows the state of the process."},
	{"generation-changed", "the process was updated meanwhile",
	 "What was to be undone is no longer what runs: another update came in between.",
	 "Look at 'molt status PID' and decide anew."},
	{"not-confirmed", "the update was taken back",
	 "The command of --health did not succeed in time, or molt was told to end; the "
	 "process runs the program of before again, one generation further.",
	 "See why the new program did not get healthy; the old one serves meanwhile."},
	{"not-reverted", "the update should be taken back, and could not be",
	 "The command of --health did not succeed, and the way back was refused: the new "
	 "program has changed something that the old one cannot take.",
	 "The process runs the new program. Remove the reason and use 'molt revert PID', "
	 "or restart it."},
	{"no-generation", "that generation cannot be gone back to",
	 "Its record is gone (the last 32 are kept), or it ran the same program as now, "
	 "perhaps because the library that was updated since has been closed.",
	 "'molt status PID' lists the generations; 'molt update PID FILE' goes to any "
	 "program."},
	{"not-the-program", "the process does not run the program that OLD is",
	 "What the process runs is not the file molt found for it, or NEW is another "
	 "program than the one that runs.",
	 "Give the file the process was started from; after a package upgrade molt "
	 "reads the deleted file through /proc by itself, and for a revert its own copy "
	 "(molt-revert(1), FILES)."},
	{"no-such-module", "the process has no such module loaded",
	 "--module named a library that is not in ld.so's list of the process, or a "
	 "file name that two of its modules share.",
	 "/proc/PID/maps shows what is loaded; give a module by its path, its file name "
	 "or its soname. The executable is no module: its new file is NEW."},
	{"runtime-module", "a part of the C runtime cannot be updated",
	 "libc, ld.so, libgcc_s and the vdso load, start and unwind everything else, "
	 "molt's own work in the process included.",
	 "Restart the process to get a new C runtime; other libraries can be updated."},
	{"program-replaced", "the process started another program meanwhile",
	 "It called exec while molt was at work; what was prepared is for the "
	 "program of before.",
	 "Look whether the process is still the one that you mean, and try again."},
	{"text-changed", "the running code is not the file's code",
	 "The text in memory differs from the file: a debugger's breakpoint, another "
	 "live patch, or a file that was overwritten in place. Its symbols cannot be "
	 "trusted.",
	 "Remove the breakpoint or the other patch; if the file was overwritten, "
	 "give the original."},
	{"not-mapped", "a place that the update writes is not mapped",
	 "The process unmapped memory of its own program, or did so while molt was "
	 "at work.",
	 "Nothing was written. Try again; if it stays so, restart the program."},
	{"shared-text", "the program's code or data is a shared mapping",
	 "A page that the update writes is shared with other processes (MAP_SHARED); "
	 "they would get the change too.",
	 "Map the program privately, as the kernel and ld.so do; programs that load "
	 "code in their own way are refused."},
	{"data-changed", "data changed between the check and the write",
	 "A word that the update was about to write does not have the value it was "
	 "read with.",
	 "Nothing was written. Try again."},
	{"never-updated", "the process was never updated",
	 "It runs the program that it was started with: there is nothing to go back to, "
	 "and gdb and perf understand it as it is. Of a core, the memory with molt's "
	 "record may also have been left out.",
	 "'molt status' lists the processes that were updated. Use gdb -p PID, or gdb "
	 "PROGRAM CORE. If a core should have it, look at "
	 "/proc/PID/coredump_filter: bit 0 (private memory) must be set."},
	{"no-core", "the file is no core",
	 "molt symbols takes the pid of a process, or an ELF core of an x86-64 process.",
	 "Give a core that the kernel or gcore wrote; compressed ones are unpacked first "
	 "(coredumpctl dump)."},
	{"symbols-file", "the program's file is gone or another one",
	 "Symbols and types are in the file that the process was updated to, and what "
	 "lies "
	 "there now is not that build.",
	 "Put that build back under the name that the message gives, or go by the plain "
	 "addresses."},
	{"symbols-dir", "the place for the files is not safe",
	 "The folder cannot be made, or somebody else may write to it: gdb carries out "
	 "the script that is written there, so nobody else may be able to change it.",
	 "Name a folder of your own with -o, or one that does not exist yet."},

	// Types and variables.
	{"type-shifted", "a member of a structure moved",
	 "Live data has the old layout; the new code would read other bytes than "
	 "those meant.",
	 "Restart the program, or move the new member to the end or into a hole of "
	 "the structure."},
	{"type-grown", "a structure grew",
	 "Objects that exist have room for the old layout only; the new code would "
	 "write behind their end.",
	 "Restart the program, or put the new member into padding of the structure."},
	{"type-shrunk", "a structure became smaller",
	 "Arrays and embedded objects that exist have the old size; the new code "
	 "would step through them with the new one.",
	 "Restart the program, or keep the structure's size."},
	{"type-meaning", "the same bytes mean something else now",
	 "An enumerator changed its value or a member its type: values that are "
	 "stored in memory would be read as something else.",
	 "Restart the program, or give new enumerators the values behind the last "
	 "old one."},
	{"type-hole", "a new member fills a hole of a structure",
	 "The layout of all other members is the same, but in objects that exist the "
	 "new member has whatever the padding held, mostly 0.",
	 "If the new code can live with that, allow it with --allow-holes."},
	{"type-changed", "a type changed in a way molt cannot judge",
	 "Live data has the old layout, and the change is none of those molt knows.",
	 "Restart the program, or keep the type as it was."},
	{"var-type", "a variable changed its type",
	 "The stored value would be read as another type.",
	 "Restart the program, or keep the variable and add another with the new "
	 "type."},
	{"var-resized", "a variable changed its size and cannot be moved",
	 "There is no room where it is, and pointers to it exist that molt cannot "
	 "all find.",
	 "Restart the program, or keep its size."},
	{"var-vanished", "a variable with state is gone",
	 "The new program has no variable that the value could live on in; it was "
	 "removed, renamed or its source file was renamed.",
	 "Keep its name and file, or restart the program. If what it holds may be lost, "
	 "as on the way back from a build that added it, allow it with --allow-lost."},
	{"table-entry", "a table has an entry for a new object",
	 "Start-up code walks such tables (a server's list of modules) and prepares each "
	 "object that it finds. In a process that runs already nobody does this for the "
	 "new one, and its code would read what was never set.",
	 "Restart the program. An update is possible where the new object is const, or "
	 "is "
	 "entered into a table by code that runs later."},
	{"tls-changed", "the layout of thread-local variables changed",
	 "Each thread's block has the old layout and cannot grow.",
	 "Keep the thread-local variables as they are, or restart the program."},
	{"copy-reloc", "a variable of a library would be copied into the program",
	 "The new program has a COPY relocation the old one has not: the library "
	 "would go on with its own copy, the program with another.",
	 "Build with -fPIE and without -mno-direct-extern-access tricks, so that the "
	 "variable is reached through the GOT."},

	// The program as a whole.
	{"constructor", "the new program has another constructor",
	 "Constructors run before main; in a process that runs already nobody calls "
	 "the new one.",
	 "Restart the program, or call its work from a function that runs later."},
	{"needed-added", "the new program needs another library",
	 "The library is not loaded in the process.",
	 "Restart the program, or load the library with dlopen."},
	{"symbol-missing", "the new program needs a symbol no loaded library has",
	 "It was linked with another version of a library than the process has "
	 "loaded; at a fresh start it would not run with that library either.",
	 "Link NEW with the libraries that the process uses, or restart the program."},
	{"relocation", "the new program has a relocation molt does not know",
	 "Some word of the new program has to be filled in by ld.so in a way that "
	 "molt cannot carry out.",
	 "Link with ordinary flags (no -z pack-relative-relocs, no text "
	 "relocations), or restart the program."},
	{"ldso-unknown", "ld.so's bookkeeping has an unknown form",
	 "The words in which ld.so keeps the program's addresses were not found "
	 "where they must be, so that dlopen, C++ exceptions and debuggers would "
	 "break.",
	 "molt knows glibc 2.36 and its neighbours; with another C library restart "
	 "the program."},
	{"ifunc", "an indirect function changed",
	 "The choice that its resolver makes cannot be carried over.",
	 "Restart the program."},
	{"icf", "functions that were one are different now",
	 "The linker had folded equal functions into one address. Their bodies "
	 "differ now, and a stored pointer does not tell which of them was meant.",
	 "Link without --icf=all (--icf=safe is fine)."},
	{"record-corrupt", "the record of earlier updates is damaged",
	 "The process was updated before and keeps a record of where each variable "
	 "and function lives; it does not have the form or the checksum it must "
	 "have.",
	 "Restart the program."},
	{"record-version", "the record of earlier updates has another format",
	 "The process was updated by another version of molt, whose record this one "
	 "does not know.",
	 "Use the molt that made the last update, or restart the program."},

	// Code and memory.
	{"hidden-stack", "a stack that no thread is on leads back into changed code",
	 "A coroutine (makecontext, or a switch of the program's own) rests in a "
	 "function "
	 "that changed, or a jump buffer leads back into one. Such a frame cannot be "
	 "moved "
	 "to the new program, and going on in the old one would mix both.",
	 "Try again when the coroutine has ended or rests elsewhere, with a longer "
	 "--wait. "
	 "If the named function may go on in its old body: --keep-old FUNCTION."},
	{"no-room", "no free address range near the program",
	 "The new image has to lie within 2 GB of the old one, and no hole is large "
	 "enough.",
	 "Restart the program; if it maps huge areas near its text, limit those."},
	{"short-function", "a function is too short for the jump to its new body",
	 "There is no room for a jump, neither in it nor in the padding within 127 bytes "
	 "of it. An unchanged function could go on in its old body, but not where C++ "
	 "exceptions or thread cancellation may unwind through it.",
	 "Restart the program, or build with -falign-functions=16."},
	{"undecodable", "a function has bytes that are no instructions",
	 "Its references cannot be found, so they cannot be redirected to the living "
	 "data.",
	 "Keep data out of the text section; hand-written assembly that mixes both "
	 "is refused."},
	{"unnamed-data", "changed code reaches data that has no name",
	 "An instruction leads to writable data without a symbol, or has no room for "
	 "the address of where it lives, and nothing in the running program tells "
	 "where that is.",
	 "Keep the symbols (link without -s and --strip-all, use 'objcopy "
	 "--only-keep-debug'), or restart the program."},
	{"rseq-section", "the program has restartable sequences of its own",
	 "The kernel knows such a sequence (rseq(2)) by a descriptor in the section "
	 "__rseq_cs, which has no name and holds addresses inside the function; threads "
	 "may "
	 "be inside the old one.",
	 "Restart the program. Sequences of glibc and of libraries that are not updated "
	 "are "
	 "no obstacle."},
	{"ambiguous-ref", "a reference on the boundary of two objects",
	 "An address in changed code is the end of one object and the start of the "
	 "next; the two would live at different places, and nothing decides which is "
	 "meant.",
	 "Rebuild without -fsection-anchors or with -fno-toplevel-reorder, or keep "
	 "both objects' sizes."},

	// Checkpoints.
	{"checkpoint-corrupt", "the checkpoint is damaged",
	 "A file of it does not have the form or the hash that it was written with. "
	 "Nothing was started from it.",
	 "'molt verify CKPT' names file and offset. Take another checkpoint; if several "
	 "are "
	 "damaged, look at the disk."},
	{"checkpoint-format", "the checkpoint has a format that this molt does not know",
	 "It was written by a later molt.", "Use the molt that wrote it."},
	{"store-full", "the store has no room left",
	 "The disk is full, or a quota or a limit on the size of files is reached. What "
	 "was "
	 "written was removed.",
	 "'molt prune' removes old checkpoints; or name another folder with --store."},
	{"store-denied", "the store cannot be written to",
	 "The folder of the checkpoints is read-only, or belongs to somebody else.",
	 "Name a folder of your own with --store."},
	{"store-owner", "the store belongs to another user",
	 "Whoever writes a checkpoint decides what runs when it is restored, so only "
	 "your own "
	 "and root's are read.",
	 "Copy the checkpoint into a store of your own if you trust it ('cp -r')."},
	{"store-unsafe", "others may write to the store",
	 "The folder or a file in it is writable for a group or for everybody; somebody "
	 "else "
	 "could put a program of theirs into a checkpoint.",
	 "'chmod -R go-w STORE', after a look at what is in it."},
	{"no-store", "there is no such store",
	 "The folder of the checkpoints does not exist; 'molt checkpoint' makes it.",
	 "Name the right one with --store, or in MOLT_STORE."},
	{"no-checkpoint", "there is no such checkpoint",
	 "It has neither this id nor this name, and no checkpoint stands at this path.",
	 "'molt list' shows what there is."},
	{"has-children", "another checkpoint builds on this one",
	 "An incremental checkpoint has only the pages that changed since its parent.",
	 "Remove the later one first; or merge it into a full core with 'molt show "
	 "--core'."},

	// Descriptors of a checkpoint.
	{"shares-descriptors", "two processes have one descriptor table",
	 "They were made with clone(CLONE_FILES): what one opens or closes the other has "
	 "opened or closed, and molt cannot make such a pair again.",
	 "Save one of them alone, without --tree."},
	{"unsaved-descriptor", "a descriptor cannot be saved",
	 "What it leads to lives in the kernel, on a device or with another process in a "
	 "way that cannot be read and made again. The message names descriptor, kind and "
	 "path.",
	 "Leave it out with --skip KIND: the restored program finds it closed. Or let "
	 "the program close it before the checkpoint."},
	{"terminal-gone", "the terminal of the saved process is not there any more",
	 "Its other end belonged to a process that was not saved, and molt was started "
	 "without a terminal that could take its place.",
	 "Restore from a terminal, or save with --skip terminal."},
	{"epoll-target", "an epoll watches what no saved process has",
	 "A file was registered and closed, but lives on in a process outside; the "
	 "registration cannot be made again without it.",
	 "Save that process too (--tree), or leave the epoll out with --skip epoll."},
	{"inotify-watch", "a watch of inotify leads to no path",
	 "The watched file was removed, or its file system cannot open files by handle "
	 "(which also takes CAP_DAC_READ_SEARCH).",
	 "Leave it out with --skip inotify."},
	{"file-changed", "a file is not as it was when the process was saved",
	 "The process goes on from offsets and data that belong to the saved content.",
	 "Put the file back, or allow growth with --files=append-ok, any change with "
	 "--files=any."},
	{"file-gone", "a file that was open is not there any more",
	 "The restored process needs it under the path that the message names.",
	 "Put it back, or save with --skip KIND."},
	{"lock-taken", "another process has a lock the restored one needs",
	 "The saved process held a lock on the file, and somebody else holds one that "
	 "excludes it now, perhaps the saved process itself.",
	 "End the other process, or restore with --replace PID."},

	// The moment.
	{"not-quiescent", "a thread stayed inside changed code",
	 "Some thread was in a changed function (or called from one) the whole time. "
	 "The message has its call path.",
	 "Nothing was changed: try again with a longer --wait. For a loop that never "
	 "returns, like main, and may go on in its old body, use --keep-old FUNC."},
	{"thread-does-not-stop", "a thread cannot be stopped",
	 "It is inside the kernel in a state that no signal ends: a vfork whose "
	 "child has not gone on yet, or an operation on a device or network file "
	 "system.",
	 "Nothing was changed: try again when the thread has gone on."},
	{"no-link-map", "ld.so's list of modules cannot be read",
	 "The process has no such list yet (it is still starting), or it is not in "
	 "the form that glibc gives it.",
	 "Try again once the program runs; with another C library restart the "
	 "program."},
	{"link-map-changing", "the process is loading or unloading a library",
	 "ld.so was at work on its list of modules all the time that molt looked.",
	 "Nothing was changed: try again."},
	{"other-process", "the process is not the one that was saved",
	 "A rollback puts a living process back to an earlier moment of its own: the "
	 "same start of the same program. A process "
	 "that was started again, or restored, is another one.",
	 "'molt restore --replace PID' puts the saved process in its place."},
	{"replace-other", "the process to be replaced runs another program",
	 "--replace ends a living process. Neither its name nor the name of its "
	 "program's "
	 "file is that of the saved one, so the pid is most likely a slip. It goes on.",
	 "Give the pid of a process of the same program; or end that process yourself, "
	 "and "
	 "restore without --replace."},
	{"generation-differs",
	 "the process was updated, or reverted, since the checkpoint was made",
	 "The images of an update and molt's record of them are in the memory that a "
	 "rollback would put back.",
	 "'molt restore --replace PID', or with --into the program that it runs now; or "
	 "a checkpoint that was made since."},
	{"memory-gone",
	 "memory that was saved cannot be mapped again in the living process",
	 "Memory that is shared with others, or of huge pages, was unmapped since, or "
	 "another mapping is where the heap was.",
	 "'molt restore --replace PID' builds the process anew."},
	{"thread-id", "a thread that ended since cannot be made again under its id",
	 "The id is in use, or the process lacks CAP_CHECKPOINT_RESTORE, which Linux "
	 "asks for.",
	 "'molt restore --replace PID' builds the process anew."},
	{"descriptor-gone", "a descriptor that was closed since cannot be made again",
	 "Its other end lives, or there is no room for it.",
	 "'molt restore --replace PID' builds the process anew."},
	{"rolled-back-in-part", "steps of a rollback failed behind the point of no return",
	 "The process goes on at the moment of the checkpoint, but for what the notes "
	 "name.",
	 "Restart it, or restore the checkpoint with --replace."},
	{"too-many-threads", "the process has more threads than molt can roll back as one",
	 "Every thread needs a place of its own while it stands.",
	 "Restore the checkpoint with --replace instead."},
	{"no-safe-thread", "no thread is at a place where work can begin",
	 "molt starts in the process by one injected call; no thread stopped at a "
	 "place where that is safe (outside of restartable sequences, signal "
	 "handlers' entry and vfork).",
	 "Nothing was changed: try again."},
	{"helper-timeout", "a call inside the process takes too long",
	 "The helper thread that molt made in the process does not come back from a "
	 "system call.",
	 "Try again; the process goes on. If it stays so, the process is blocked in "
	 "its memory lock (a core dump, or another tracer)."},
	{"call-crashed", "a function called inside the process crashed",
	 "The resolver of an indirect function (IFUNC) was called in the helper "
	 "thread and failed.",
	 "Nothing was changed: restart the program to update it."},
	{"close-range", "the kernel has no close_range, or a filter forbids it",
	 "Without it the helper thread would share the process's descriptors.",
	 "Linux 5.9 or later is needed; a seccomp filter has to allow close_range."},
	{"no-process", "no process runs this program",
	 "--exe looks for processes whose program is this file, also when it was deleted "
	 "or "
	 "replaced since they started, and for those that map it as a library.",
	 "Give the path by which the running processes were started; 'ls -l "
	 "/proc/PID/exe' shows it."},
	{"no-systemd", "systemd does not run here",
	 "--unit asks systemd for the main process of a unit.",
	 "Give the pid, or select the processes by --exe."},
	{"unit-not-running", "the unit has no main process",
	 "systemd knows no main pid for this unit: it is not running, or of a type "
	 "without one.",
	 "Start it, or give the pid."},
	{"family-grew", "processes are forked all the time",
	 "Whenever all processes of the tree had been stopped there was one more that "
	 "had not been prepared yet.",
	 "Nothing was changed: try again when fewer processes are started, or with a "
	 "longer --wait."},
	{"shared-memory", "two processes have the same memory",
	 "A child that was made with vfork or clone(CLONE_VM) runs in its parent's "
	 "memory "
	 "and did not leave it within a second.",
	 "Nothing was changed: try again when that child has ended or started another "
	 "program."},
	{"family-kernel", "the kernel is too old to update several processes as one",
	 "One word of memory decides for all of them; bringing it into each needs a "
	 "descriptor of a single thread (PIDFD_THREAD).",
	 "Linux 6.9 or later is needed; update the processes one by one (--exe)."},
	{"no-slack", "no room for the first instructions of the helper thread",
	 "No module of the process has free bytes behind its text on its last page.",
	 "Restart the program."},
	{"no-such-function", "the program has no function of this name",
	 "--at and --keep-old take names of functions as the symbol table has them.",
	 "'nm PROGRAM' lists them; a function that was inlined everywhere has none."},
	{"privilege", "the saved process may do what the caller may not",
	 "A restored process gets no user, group, capability, limit or root that molt's "
	 "caller "
	 "does not have. The message names what is missing.",
	 "Restore as root, or as the user whose process it was."},
	{"namespace", "the process is in another namespace than molt",
	 "Paths, ids and addresses in the checkpoint would mean something else outside.",
	 "Run molt inside of the namespaces (nsenter -t PID -a molt ...)."},
	{"unshared-threads", "a thread has resources of its own",
	 "The threads of a process normally share descriptors, current folder and root; "
	 "this "
	 "one has left that (unshare, or clone without CLONE_FILES or CLONE_FS).",
	 "Take the checkpoint while no such thread runs."},
	{"shares-memory", "two processes share their whole memory",
	 "A child of vfork runs in its parent's memory until it calls exec, and clone "
	 "with "
	 "CLONE_VM makes such pairs for good.",
	 "Try again; for a lasting pair there is no checkpoint."},
	{"is-tracer", "the process traces another",
	 "A debugger's or tracer's hold on another process cannot be brought back.",
	 "Let it detach first."},
	{"sched-deadline", "a thread runs under SCHED_DEADLINE",
	 "Its reservation of processor time may not be there when it comes back.",
	 "Take the checkpoint while it runs under another policy."},
	{"syscall-dispatch", "system calls go to a handler of the program",
	 "The thread uses PR_SET_SYSCALL_USER_DISPATCH (Wine does), so that molt's own "
	 "calls in "
	 "it would go there.",
	 "There is no checkpoint of such a thread."},
	{"ldt", "the process has segments of its own",
	 "modify_ldt was used (16-bit and some 32-bit code does).",
	 "There is no checkpoint of such a process."},
	{"seccomp-notify", "a seccomp filter asks another process",
	 "The filter of SECCOMP_RET_USER_NOTIF is tied to a descriptor of a supervisor.",
	 "There is no checkpoint of such a process."},
	{"cpu-state", "the saved processor state does not fit this processor",
	 "The FPU and vector registers of the saved process have another size than here.",
	 "Restore on a processor of the same kind."},
	{"folder-gone", "the current folder or the root was removed",
	 "The process stands in a folder that no path leads to.",
	 "Let it change to a folder that exists."},
	{"timer-clock", "a timer measures another process's processor time",
	 "The clock of the timer is that of a process that is not part of it.",
	 "There is no checkpoint of such a process."},
	{"timer-id", "a timer cannot get its id again",
	 "Before Linux 6.15 ids of timers cannot be chosen, and this one is out of "
	 "reach.",
	 "Restore under Linux 6.15 or newer."},
	{"shadow-stack", "the process has a shadow stack (CET)",
	 "The processor checks each return address against a copy that molt cannot "
	 "change; moving "
	 "a frame would end the program.",
	 "Start the program without shadow stacks (GLIBC_TUNABLES), or restart it in the "
	 "new build."},
	{"at-exceptions",
	 "--at cannot be used with a program that may throw C++ exceptions",
	 "The moment is found by a gate in the place of a return address. An exception "
	 "that passes a gate would end the program, and the cleanups of a C program "
	 "built with -fexceptions would not run when a thread is cancelled there.",
	 "Leave out --at: molt then takes the first moment at which no thread is inside "
	 "changed "
	 "code."},
	{"keep-old-unsafe", "a function cannot go on in its old body",
	 "The function named by --keep-old relies on something that will be "
	 "different: a register that gcc's -fipa-ra knew to be untouched by what it "
	 "calls, or C++ exceptions or cleanups that pass through it.",
	 "Leave the function out of --keep-old, or build with -fno-ipa-ra."},
	{"address-in-use", "the address of a saved socket is taken",
	 "Another socket has the address that a saved one listens at or is bound to: the "
	 "saved "
	 "process lives still, was started again, or its last connections have not timed "
	 "out "
	 "(TIME_WAIT, a minute) and the program does not set SO_REUSEADDR.",
	 "End the process that has it ('ss -tlnp' names it), or take its place with "
	 "--replace "
	 "PID."},
	{"peer-outside", "a UNIX connection leads to a process that is not saved",
	 "The other end belongs to a process outside of the checkpoint, which would see "
	 "the "
	 "connection end; it cannot be made again from one side.",
	 "Save both with --tree, or go without it (--skip unix): the program finds it "
	 "closed "
	 "after a restore, and has it back with --replace."},
	{"socket-filter", "a socket has a filter that cannot be read",
	 "An eBPF program is attached to it. Only the process that loaded it knows what "
	 "it is.",
	 "Go without the socket (--skip KIND with the kind that the message names)."},
	{"socket-queue", "too much waits in the queue of a socket",
	 "A single message of more than 256 MiB cannot be stored.",
	 "Take the checkpoint when the program has read it."},
	{"unsaved-socket", "molt cannot save this kind of socket",
	 "Only TCP, UDP, UNIX and netlink sockets of the process's own network namespace "
	 "can be "
	 "made again.",
	 "Go without it (--skip socket): the program finds its descriptor closed."},
	{"not-the-parent", "the parent is a checkpoint of another process",
	 "--parent names an earlier checkpoint of the very process that is saved: same "
	 "pid, "
	 "same start, same boot of the machine.",
	 "Leave --parent out: a full checkpoint is taken."},
	{"no-write-tracking", "writes of the process cannot be tracked",
	 "userfaultfd with asynchronous write protection (Linux 6.7) is missing, "
	 "forbidden by "
	 "a "
	 "filter, or used up. A checkpoint is taken all the same, with a longer stop.",
	 "'molt doctor' says what this host offers."},
	{"device-mapping", "the process has memory of a device",
	 "A mapping of a device (a graphics card, /dev/mem, a driver's buffer) is no "
	 "memory "
	 "that a file could hold, and another process would not get the same.",
	 "End the use of the device in the program before the checkpoint, if it has a "
	 "way."},
	{"pid-taken", "an id of the saved process is in use",
	 "The process comes back with the ids that it had, because programs remember "
	 "them; "
	 "another process or thread has one of them now.",
	 "End the process that the message names, or give --replace PID to take its "
	 "place, or --pid-any to restore under other ids."},
	{"vdso-changed", "the checkpoint was taken under another kernel",
	 "The kernel maps code of its own into every process, and the saved process may "
	 "have stood in it; this kernel's is not the same.",
	 "Restore under the kernel that the manifest names."},
	{"shm-taken", "a System V key belongs to other shared memory now",
	 "The process shared memory with others under a key; a segment of another size "
	 "or "
	 "owner has it now.",
	 "Remove that segment (ipcs -m, ipcrm) if nobody needs it."},
	{"memory-lost", "the memory of a restored process could not be brought",
	 "It ran while its memory was still brought in the background; that failed, and "
	 "the "
	 "process was ended, because it would have found zeros.",
	 "Look at the reason, check the checkpoint with 'molt verify', and restore "
	 "again, "
	 "with --eager to have all memory there before it runs."},
	{"mapped-file-changed", "a file that the process has mapped changed since",
	 "Its memory is that file, and no copy was kept: only programs and libraries "
	 "are.",
	 "Put the file of before back, or allow it with --files=append-ok or "
	 "--files=any."},
	{"mapped-file-gone", "a file that the process has mapped is gone",
	 "Its memory is that file, and no copy was kept.", "Put the file back."},
	{"fault", "a fault that was asked for",
	 "MOLT_FAULT in the environment names a point at which molt fails on "
	 "purpose, for tests.",
	 "Unset MOLT_FAULT."},
};

const struct code_text *code_at(size_t i)
{
	return i < ARRAY_SIZE(table) ? &table[i] : NULL;
}

const struct code_text *code_find(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].code, code) == 0)
			return &table[i];
	return NULL;
}
