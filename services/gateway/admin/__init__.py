"""The admin API: `/v1/organization/…` and `/v1/projects/…` as OpenAI's SDKs call them, on a listener of its own.

Ordinary FastAPI, one module per noun; `app.ROUTERS` is the table of them. All of it runs inside the same `Edge` and on
the same bounded HTTP server as the public API, so that headers, bodies, request ids and errors are alike.

Promises: only admin keys (`sk-admin-…`) are served; whatever is wrong with a request is a 4xx in OpenAI's envelope; an
object of another organisation is one that does not exist. Must not: judge what an admin key may do (the service that
has the object does), hold a stub (`peers.admin` does), or know the public API (`api`).

    app       the application: listener's front, routers, description
    route     what every operation does first: key, body
    paging    which page of a list
    scope     whether a route is about the organisation or a project
    span      which page of buckets of time, and what is summed in them
    office    what the routers work with
    unserved  what OpenAI has and this platform does not, each with a sentence
"""
