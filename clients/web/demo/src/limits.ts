// Bounds of the page.

/** **Bold** in *emphasis* is as deep as it goes. */
export const NESTING_MAX = 3

/** Characters of a message that are formatted; a longer one is shown as the text it is. */
export const FORMATTED_LENGTH_MAX = 20_000

/** Characters of a message that are shown before "Show all". */
export const SHOWN_LENGTH_MAX = 4_000

/** Records that are read when a room is entered; what is before them comes when one scrolls up. */
export const RECORDS_AT_FIRST = 100

/** Records in a page of history. */
export const RECORDS_IN_PAGE = 200

/** Rooms that are kept in the list. */
export const ROOMS_MAX = 100

/** Messages of one sender closer to each other than this stand below one name. */
export const GROUP_MS_MAX = 5 * 60_000

/** Names in the list of who is here; of the rest the count is told. */
export const PEOPLE_SHOWN_MAX = 200
