/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sanitizer changes: AddressSanitizer and ThreadSanitizer make mlockall() do nothing, and
 * their shadow of the memory faults on its own account.
 */
#ifndef CAISSON_TEST_SHADOW_H
#define CAISSON_TEST_SHADOW_H

#if defined(__has_feature)
#define TEST_FEATURE(name) __has_feature(name)
#else
#define TEST_FEATURE(name) 0
#endif

#if defined(__SANITIZE_THREAD__) || TEST_FEATURE(thread_sanitizer)
#define HAS_SHADOW_THREAD 1 /* one of the sanitizer's own */
#else
#define HAS_SHADOW_THREAD 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TEST_FEATURE(address_sanitizer) || HAS_SHADOW_THREAD
#define HAS_SHADOW 1
#else
#define HAS_SHADOW 0
#endif

#endif
