-- Run once, by the image of PostgreSQL, when its volume is empty. POSTGRES_DB has made the database of the store.
CREATE DATABASE prefect;
\connect prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
