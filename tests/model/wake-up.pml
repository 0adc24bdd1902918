/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models which of caissond's queue threads is woken for a message of /dev/fuse, and which one reads it.
 * Each thread has a one-shot exclusive poll of io_uring on the device (daemon/serve/queue.h has the argument
 * in words).
 *
 * A message wakes the first poll on the device's wait queue. That poll stays there until its thread runs, and
 * takes up the wake-ups of further messages until then. The thread then takes its poll off the wait queue and
 * reads one message; the device may have been emptied by others meanwhile.
 *
 * A look-up's handler waits for memory, and only the write frees some. If the write is never read while a
 * handler waits, that handler never ends. This is the worst that a handler may wait for. So metadata workers run
 * it, and no queue thread does. A read waits for memory below, too, and has its thread's only slot until then:
 * that thread has no slot to offer.
 *
 * #@ packages: spin
 * #@ clean: 2-threads -DTHREADS=2 -DREADS=0
 * #@ clean: 3-threads -DTHREADS=3 -DLOOKUPS=2
 * #@ clean: 4-threads -DTHREADS=4 -DLOOKUPS=1
 * #@ finds: runs-handlers -DBREAK=1 -DTHREADS=2 -DLOOKUPS=1 -DREADS=0
 * #@ finds: no-slot -DBREAK=2 -DTHREADS=3 -DLOOKUPS=0
 */

#ifndef BREAK
#define BREAK 0
#endif
#ifndef LOOKUPS
#define LOOKUPS 3
#endif
#ifndef READS
#define READS 1
#endif
#define MESSAGES (LOOKUPS + READS + 1)

#define LOOKUP 1
#define WRITE 2
#define READ 3

chan device = [MESSAGES] of { byte };	/* messages that nobody has read */
chan wait_queue = [THREADS] of { byte };	/* threads whose poll is on it, in order */
bool woken[THREADS];
byte at_workers;	/* look-ups that metadata workers have */
byte answered;
bool written;		/* there is memory */

inline wake_first()
{
	if
	:: wait_queue?<first> -> woken[first] = true
	:: empty(wait_queue)
	fi
}

proctype client(byte kind)
{
	byte first;

	atomic {
		device!kind	/*: sends a message, and wakes the first poll */;
		wake_first()
	}
}

/* Metadata workers, of which there are enough here. */
proctype workers()
{
end:	do
	:: atomic { at_workers > 0 && written -> at_workers--; answered++ }
	od
}

proctype queue_thread(byte q)
{
	byte kind, first;

end:	do
	/* to add a poll is to look: where there is a message it completes at once */
	:: atomic {
		empty(device) -> wait_queue!q; woken[q] = false
	   };
end_asleep:
		woken[q];	/*: is woken */
		/* its task work: takes the poll off the wait queue, unless there is nothing to read any more */
		if
		:: atomic { nempty(device) -> wait_queue??eval(q); woken[q] = false }
		:: atomic { empty(device) -> woken[q] = false; goto end_asleep }
		fi;
		goto read
	:: nempty(device) -> goto read
	od;

read:	if
	:: atomic { device?kind }	/*: reads a message */
	:: empty(device) -> goto end	/* a sibling was faster */
	fi;
	if
	:: atomic { kind == WRITE -> written = true; answered++ }	/*: the write frees memory */
#if BREAK == 1
	:: kind == LOOKUP ->
		atomic { written -> answered++ }	/*: runs the handler itself, which waits for memory */
#endif
	:: atomic { kind == LOOKUP -> at_workers++ }	/*: hands it to a worker */
	:: atomic {
		kind == READ ->
#if BREAK != 2
		if
		:: nempty(device) -> wake_first()	/*: has no slot left, and has a sibling look at the device */
		:: empty(device)
		fi
#endif
	   };
		atomic { written -> answered++ }	/*: waits for its read, which has its only slot */
	fi;
	goto end
}

/* All that was sent is answered: who waits for that can go on. */
proctype judge()
{
	answered == MESSAGES	/*: waits for all answers */
}

init {
	byte i;

	atomic {
		i = 0;
		do
		:: i < THREADS -> run queue_thread(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < LOOKUPS -> run client(LOOKUP); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < READS -> run client(READ); i++
		:: else -> break
		od;
		run client(WRITE);
		run workers();
		run judge()
	}
}
