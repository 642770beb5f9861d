// Where the list of conversations is, and tells of a delete: what it has come to, and how it is undone.

export function listAfter(deletion, list) {
  const address = new URL(list);
  for (const told of ["deleted", "deletedForGood", "restored"]) address.searchParams.delete(told);
  if (deletion.backupId === null) address.searchParams.set("deletedForGood", deletion.deleted);
  else address.searchParams.set("deleted", deletion.backupId);
  return address.href;
}
