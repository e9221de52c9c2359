-- Gives holds back that have ended, of a budget that nobody may be asking about any more.
--
-- KEYS: the budget; the key of its holds is beside it, with the same hash tag. Reply: how many were given back; as many
-- as one call gives back at the most mean that there may be more.

return release_ended({key = KEYS[1]})
